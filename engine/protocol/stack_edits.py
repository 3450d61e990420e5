"""Changes of a stack, as pure functions: what a key asks for, made into the next stack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from engine.protocol.refs import LoraRef

Part = Literal["both", "unet", "text_encoder", "text_encoder_2"]
Stack = tuple[LoraRef, ...]

USUAL_BOUND = 5.0
"""How far steps go with a LoRA of which nothing else is known."""
WIDE_BOUND = 20.0
"""How far they go with sliders, which are used up to ±15, and where more than usual is wanted."""


def toggled(stack: Stack, ref: LoraRef) -> Stack:
    """Without the file of `ref`, or with `ref` at the end."""
    rest = tuple(member for member in stack if member.path != ref.path)
    return rest if len(rest) < len(stack) else (*stack, ref)


def adjusted(stack: Stack, path: Path, delta: float, part: Part, bound: float) -> Stack:
    """With one member a step stronger or weaker."""
    return tuple(
        stepped(member, delta, part, bound) if member.path == path else member for member in stack
    )


def changed(stack: Stack, ref: LoraRef) -> Stack:
    """With `ref` in place of the member of the same file."""
    return tuple(ref if member.path == ref.path else member for member in stack)


def stepped(ref: LoraRef, delta: float, part: Part, bound: float) -> LoraRef:
    """A member at another strength of one part, or of all; steps go up to `bound`.

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
