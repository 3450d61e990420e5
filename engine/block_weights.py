"""Block weights: how strongly a LoRA counts in each block of SDXL, by the names people know.

The names and the forms of 12 and 20 numbers are those of the lora-block-weight extension: `IN00` to
`IN08`, `MID`, `OUT00` to `OUT08` are the original UNet's blocks; `BASE` is all the rest, that is
the text encoders, the embeddings of time and size, and the last convolution.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from engine.errors import LoraRefusedError
from engine.words.plain_number import plain_number

BlockWeights = tuple[tuple[str, float], ...]
"""Factors by block name, in the order of `BLOCKS`; blocks that are left out count fully."""

_IN = tuple(f"IN{number:02}" for number in range(9))
_OUT = tuple(f"OUT{number:02}" for number in range(9))
BLOCKS = ("BASE", *_IN, "MID", *_OUT)
"""The form of 20 numbers."""
ATTENTION_BLOCKS = ("BASE", "IN04", "IN05", "IN07", "IN08", "MID", *_OUT[:6])
"""The form of 12 numbers: the blocks with attention, all that a plain LoRA has."""

PRESETS: Mapping[str, str] = {
    "ALL": "1,1,1,1,1,1,1,1,1,1,1,1",
    "NONE": "0,0,0,0,0,0,0,0,0,0,0,0",
    "INS": "1,1,1,1,1,0,0,0,0,0,0,0",
    "MID": "1,0,0,0,0,1,0,0,0,0,0,0",
    "OUTS": "1,0,0,0,0,0,1,1,1,1,1,1",
    "NOBASE": "0,1,1,1,1,1,1,1,1,1,1,1",
}
"""Presets that are always there; the user's own come from the configuration."""

_NAME = re.compile(r"(IN|OUT)0*(\d)")


def parse_block_weights(text: str, presets: Mapping[str, str] = PRESETS) -> BlockWeights:
    """Read 12 or 20 numbers, names such as `IN04=0.5,MID=0`, or the name of a preset.

    Blocks that are not named count fully; so do those without attention in the form of 12.
    Raises `LoraRefusedError` with the reason.
    """
    text = text.strip()
    preset = {name.casefold(): value for name, value in presets.items()}.get(text.casefold())
    parts = [part.strip() for part in (preset or text).split(",")]
    if "=" in parts[0]:
        pairs = [(name, value) for name, _, value in (part.partition("=") for part in parts)]
    elif len(parts) in (len(ATTENTION_BLOCKS), len(BLOCKS)):
        names = BLOCKS if len(parts) == len(BLOCKS) else ATTENTION_BLOCKS
        pairs = list(zip(names, parts, strict=True))
    elif len(parts) == 1:
        raise LoraRefusedError(
            f"There are no block weights named {text!r}; known are {', '.join(sorted(presets))}."
        )
    else:
        raise LoraRefusedError(
            f"Block weights are 12 or 20 numbers, or names such as IN04=0.5; these are "
            f"{len(parts)}: {text}"
        )
    weights = {_block_name(name): _number(value, text) for name, value in pairs}
    return tuple((name, weights[name]) for name in BLOCKS if weights.get(name, 1.0) != 1.0)


def format_block_weights(weights: BlockWeights) -> str:
    """Write block weights for people: `IN04=0.5,MID=0`, or `ALL`."""
    return ",".join(f"{name}={plain_number(value)}" for name, value in weights) or "ALL"


def block_numbers(weights: BlockWeights) -> str:
    """Write block weights as the 12 numbers that every program reads, or 20 where they must be."""
    factors = dict(weights)
    names = ATTENTION_BLOCKS if set(factors) <= set(ATTENTION_BLOCKS) else BLOCKS
    return ",".join(plain_number(factors.get(name, 1.0)) for name in names)


def _block_name(text: str) -> str:
    name = text.strip().upper()
    match = _NAME.fullmatch(name)
    if match is not None:
        name = f"{match[1]}0{match[2]}"
    if name in ("M00", "MID00"):
        name = "MID"
    if name not in BLOCKS:
        raise LoraRefusedError(f"SDXL has no block {text.strip()!r}; it has {', '.join(BLOCKS)}.")
    return name


def _number(text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise LoraRefusedError(f"{text.strip()!r} is not a number, in the block weights {whole}.")
    return value
