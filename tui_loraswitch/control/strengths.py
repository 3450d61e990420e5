"""How strongly a LoRA counts: what keys make of a strength, how far they go, and typed values."""

from __future__ import annotations

import re
from dataclasses import replace

from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from engine.protocol.refs import LoraRef
from engine.protocol.stack_edits import USUAL_BOUND, WIDE_BOUND

STEP = 0.05
"""What one press of + or − changes."""
FINE_STEP = 0.01
"""What one press of . or , changes."""
LARGEST = 100.0
"""How far a typed strength goes."""

_NUMBER = re.compile(r"[-+−]?[0-9]{0,4}[.,]?[0-9]{0,6}")


def bound_of(entry: LibraryEntry) -> float:
    """How far + and − go with a LoRA: by what it is called, and by what its files recommend."""
    is_slider = "slider" in f"{entry.key} {entry.title}".casefold()
    recommends_more = abs(entry.preferred_strength or 0.0) > USUAL_BOUND
    return WIDE_BOUND if is_slider or recommends_more else USUAL_BOUND


def with_typed(ref: LoraRef, text: str) -> LoraRef:
    """A member at a typed strength: `0.8` for all, `0.8/0.6` for UNet and text encoders.

    A third number is for the second text encoder. Raises `EngineError` for what is no strength.
    """
    numbers = [_number(word) for word in re.split(r"\s*/\s*|\s+", text.strip())]
    if len(numbers) > 3:
        raise EngineError("At most three strengths count: UNet / text encoders / the second one.")
    unet, encoder, second = (*numbers, *numbers[-1:] * 2)[:3]
    return replace(
        ref,
        unet=unet,
        text_encoder=encoder,
        text_encoder_2=None if second == encoder else second,
    )


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text) or not any(map(str.isdigit, text)):
        raise EngineError("Write a number such as 0.8, or two as 0.8/0.6.")
    value = float(text.replace(",", ".").replace("−", "-"))
    if abs(value) > LARGEST:
        raise EngineError(f"A strength lies between −{LARGEST:g} and {LARGEST:g}.")
    return value
