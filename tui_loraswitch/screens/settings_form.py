"""What is typed into the settings, checked and turned into a state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from engine.errors import EngineError
from engine.generate.check import check_request
from engine.protocol.request import EMPTY_NEGATIVES, NOISES, EmptyNegative, Noise
from tui_loraswitch.config.ui_state import UiState

MAX_BATCH = 64
MAX_CFG_SCALE = 100.0
_ANY_SIZE = 1024
"""Stands in for the model's own size, which is always possible."""

_SIZE = re.compile(r"(\d{1,5})(?:\s*+[x×*]\s*+|\s++)(\d{1,5})")


def read_form(texts: Mapping[str, str], state: UiState) -> UiState:
    """`state` with the fields' values, by their names in `UiState`; `size` is width and height.

    Raises `EngineError` with a sentence for the first value that cannot be.
    """
    width, height = _size(texts["size"])
    new = replace(
        state,
        steps=_whole("steps", texts["steps"]),
        sampler=texts["sampler"],
        schedule=texts["schedule"],
        cfg_scale=_number("CFG scale", texts["cfg_scale"]),
        seed=_whole("seed", texts["seed"]),
        width=width,
        height=height,
        batch=_whole("batch", texts["batch"]),
        clip_skip=_whole("clip skip", texts["clip_skip"]),
        noise=_noise(texts["noise"]),
        empty_negative=_empty_negative(texts["empty_negative"]),
    )
    if new.batch > MAX_BATCH:
        raise EngineError(f"A batch has at most {MAX_BATCH} pictures, not {new.batch}.")
    if not 0 <= new.cfg_scale <= MAX_CFG_SCALE:
        raise EngineError(f"The CFG scale lies between 0 and {MAX_CFG_SCALE:g}.")
    check_request(new.request(Path()))
    return new


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise EngineError(f"The {name} must be a whole number.") from error


def _number(name: str, text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError as error:
        raise EngineError(f"The {name} must be a number.") from error


def _empty_negative(name: str) -> EmptyNegative:
    return next(known for known in EMPTY_NEGATIVES if known == name)


def _noise(name: str) -> Noise:
    return next(known for known in NOISES if known == name)


def _size(text: str) -> tuple[int, int]:
    """Width and height in pixels; 0, 0 for the model's own size."""
    text = text.strip().lower()
    if text in ("", "auto"):
        return 0, 0
    match = _SIZE.fullmatch(text)
    if match is None:
        raise EngineError("The size must be “auto”, or width and height such as 1216x832.")
    return int(match[1]), int(match[2])
