"""The sizes SDXL was trained with, by their names: `3:2`, `portrait`; needs no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from engine.errors import EngineError

TRAINED = 1024
SHAPES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "1:1": (1024, 1024),
        "9:7": (1152, 896),
        "7:9": (896, 1152),
        "3:2": (1216, 832),
        "2:3": (832, 1216),
        "16:9": (1344, 768),
        "9:16": (768, 1344),
        "21:9": (1536, 640),
        "9:21": (640, 1536),
    }
)
"""Width and height by the proportions that they come near to; all of about one area."""
WORDS: Mapping[str, str] = MappingProxyType(
    {"square": "1:1", "landscape": "3:2", "portrait": "2:3", "wide": "16:9", "tall": "9:16"}
)

_SIZE = re.compile(r"([0-9]{1,5})(?:\s*+[x×*]\s*+|\s++)([0-9]{1,5})")


def shape_size(shape: str, trained: int = TRAINED) -> tuple[int, int]:
    """Width and height of a shape for a model that was trained on squares of this side."""
    width, height = (round(side * trained / TRAINED / 8) * 8 for side in SHAPES[shape])
    return width, height


def read_size(text: str) -> tuple[int, int] | str:
    """Width and height of `1216x832`, or the shape that `3:2` or `landscape` names.

    `auto` and nothing are 0 × 0: the model's own size. Raises `EngineError` for all else.
    """
    name = " ".join(text.casefold().split())
    if name in ("", "auto"):
        return 0, 0
    shape = WORDS.get(name, name)
    if shape in SHAPES:
        return shape
    if (found := _SIZE.fullmatch(name)) is None:
        raise EngineError(
            "A size is width and height, such as 1216x832, or one of "
            f"{', '.join((*WORDS, *SHAPES))}; auto is the model's own."
        )
    return int(found[1]), int(found[2])
