"""A LoRA as people ask for it in writing, before its file is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from engine.block_weights import parse_block_weights
from engine.errors import EngineError
from engine.protocol.refs import LoraRef
from engine.words.course import FIELDS, STEADY, Course
from engine.words.lora_tags import LoraTag

TEXT_ENCODER_2, BLOCK_WEIGHTS = "te2", "lbw"
"""Fields by name, in tags and in options: `neon:0.8:te2=0.5:lbw=MID`."""


class WantedLora(Struct, frozen=True):
    """A LoRA by a name that is not resolved yet."""

    name: str
    unet: float = 1.0
    text_encoder: float = 1.0
    fields: tuple[tuple[str, str], ...] = ()
    """`te2` and `lbw`, as written."""
    course: Course = STEADY

    @classmethod
    def of_tag(cls, tag: LoraTag) -> WantedLora:
        """What a tag in a prompt asks for."""
        return cls(tag.name, tag.unet, tag.text_encoder, tag.options, tag.course)

    def ref(self, path: Path, presets: Mapping[str, str]) -> LoraRef:
        """The member of a stack, with the file that was found for the name.

        Raises `EngineError` for a field that is not known or whose value cannot be read.
        """
        fields = dict(self.fields)
        second, blocks = fields.pop(TEXT_ENCODER_2, None), fields.pop(BLOCK_WEIGHTS, "")
        for name in fields:
            # It would change the picture in programs that know it: better none than another one.
            raise EngineError(
                f"“{name}=” of the LoRA {self.name} is not known here; known are te=, unet=, "
                f"{TEXT_ENCODER_2}=, {BLOCK_WEIGHTS}=, {', '.join(f'{name}=' for name in FIELDS)}."
            )
        return LoraRef(
            path,
            self.unet,
            self.text_encoder,
            None if second is None else self._number(second),
            parse_block_weights(blocks, presets) if blocks else (),
            self.course,
        )

    def _number(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise EngineError(f"“{text}” of the LoRA {self.name} is not a number; write te2=0.5.")
        return value
