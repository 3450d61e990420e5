"""How strongly a LoRA counts: what keys make of a strength, how far they go, and typed values."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from engine.refs import LoraRef

Part = Literal["both", "unet", "text_encoder", "text_encoder_2"]

STEP = 0.05
"""What one press of + or − changes."""
USUAL_BOUND = 5.0
"""How far the keys go with a LoRA of which nothing else is known."""
WIDE_BOUND = 20.0
"""How far they go with sliders, which are used up to ±15, and where more than usual is wanted."""
LARGEST = 100.0
"""How far a typed strength goes."""

_NUMBER = re.compile(r"[-+−]?[0-9]{0,4}[.,]?[0-9]{0,6}")


def bound_of(entry: LibraryEntry) -> float:
    """How far + and − go with a LoRA: by what it is called, and by what its files recommend."""
    is_slider = "slider" in f"{entry.key} {entry.title}".casefold()
    recommends_more = abs(entry.preferred_strength or 0.0) > USUAL_BOUND
    return WIDE_BOUND if is_slider or recommends_more else USUAL_BOUND


def stepped(ref: LoraRef, delta: float, part: Part, bound: float) -> LoraRef:
    """A member at another strength of one part, or of all; `bound` is what `bound_of` says of it.

    A strength that is beyond the bound already, recommended or typed, is never pulled back to it.
    """

    def step(value: float) -> float:
        wide = WIDE_BOUND if abs(value) > USUAL_BOUND else bound
        limit = max(bound, wide, abs(value))
        # Sums of decimals have digits nobody wrote.
        return round(max(-limit, min(limit, value + delta)), 4)

    second = ref.text_encoder_2
    if part == "text_encoder_2":
        own = step(ref.text_encoder_2_strength)
        return replace(ref, text_encoder_2=None if own == ref.text_encoder else own)
    if part != "text_encoder":
        ref = replace(ref, unet=step(ref.unet))
    if part != "unet":
        second = None if second is None else step(second)
        ref = replace(ref, text_encoder=step(ref.text_encoder), text_encoder_2=second)
    return ref


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
