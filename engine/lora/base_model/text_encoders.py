"""What the text encoders that a file changes tell of its base model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

_SECOND = ("lora_te2_", "lora_te2.", "oft_te2_", "lycoris_te2_", "text_encoder_2.", "clip_g.",
           "text_encoders.clip_g.")  # fmt: skip
_FIRST_OF_TWO = ("lora_te1_", "lora_te1.", "oft_te1_", "lycoris_te1_")
_ONLY = ("lora_te_", "lora_te.", "oft_te_")
"""As SD 1.x and SD 2 have but one, its name has no number."""

_WIDTHS = {768: "SD 1.5", 3072: "SD 1.5", 1024: "SD 2", 4096: "SD 2"}
"""Inputs of CLIP's layers: its width, and four times as many inside its feed-forward layers."""


class Candidates(NamedTuple):
    """The base models that are left, and why."""

    names: tuple[str, ...]
    evidence: str


def from_text_encoders(modules: Mapping[str, int | None]) -> Candidates:
    """The base models whose text encoders have such names and widths; none where nothing tells."""
    if any(name.startswith(_SECOND) for name in modules):
        return Candidates(("SDXL",), "a second text encoder")
    widths = {
        width for name, width in modules.items() if name.startswith((*_ONLY, "text_encoder."))
    }
    only = any(name.startswith(_ONLY) for name in modules)
    for width in sorted(width for width in widths if width in _WIDTHS):
        # The first text encoder of SDXL is that of SD 1.5, and diffusers gives it no number.
        if only or _WIDTHS[width] == "SD 2":
            return Candidates((_WIDTHS[width],), f"text encoder width {width}")
    if only and widths == {None}:
        return Candidates(("SD 1.5", "SD 2"), "its only text encoder")
    return Candidates((), "")


def numbers_the_first(modules: Mapping[str, int | None]) -> bool:
    """Whether the first text encoder has a number, as there is another one in the model."""
    return any(name.startswith(_FIRST_OF_TWO) for name in modules)
