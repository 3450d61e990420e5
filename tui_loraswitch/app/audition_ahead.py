"""What is likely to be looked at after an audition."""

from __future__ import annotations

from dataclasses import replace

from engine.protocol.commands import Audition
from engine.protocol.refs import LoraRef


def further(before: Audition, now: Audition) -> Audition | None:
    """One step of the strengths more, in the direction they went; None where none has changed."""
    if before.request != now.request or len(before.stack) != len(now.stack):
        return None
    pairs = list(zip(before.stack, now.stack, strict=True))
    stack = tuple(_further(*pair) for pair in pairs)
    has_same_files = all(one.path == other.path for one, other in pairs)
    return Audition(now.request, stack) if has_same_files and stack != now.stack else None


def _further(before: LoraRef, now: LoraRef) -> LoraRef:
    return replace(
        now,
        unet=_step(before.unet, now.unet),
        text_encoder=_step(before.text_encoder, now.text_encoder),
    )


def _step(before: float, now: float) -> float:
    # As steps of the keys are rounded: it is the same strength that they lead to.
    return round(now + (now - before), 4)
