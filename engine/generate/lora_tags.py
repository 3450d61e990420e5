"""Read and write `<lora:…>` tags, as A1111 and ComfyUI have them in prompts; needs no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from engine.errors import EngineError

TagOrder = Literal["te, unet", "unet, te"]
"""What a tag's second and third field mean: A1111's order, or ComfyUI's and SwarmUI's."""


@dataclass(frozen=True)
class LoraTag:
    """A `<lora:name:…>` tag: the strengths it asks for, and named fields not read here."""

    name: str
    unet: float = 1.0
    text_encoder: float = 1.0
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The tag in a form every program reads alike: one strength, or both by name."""
        if self.unet == self.text_encoder:
            strengths = f"{self.unet:.6g}"
        else:
            strengths = f"te={self.text_encoder:.6g}:unet={self.unet:.6g}"
        return ":".join(["<lora", self.name, strengths, *map("=".join, self.options)]) + ">"


_TAG = re.compile(r"<(?:lora|lyco):([^<>]*)>", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?([0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})(e[+-]?[0-9]{1,2})?", re.I)


def split_tags(prompt: str, order: TagOrder = "te, unet") -> tuple[str, tuple[LoraTag, ...]]:
    """Take the `<lora:…>` tags out of a prompt; returns the rest, otherwise as written, and them.

    One strength counts for the UNet and the text encoders; two are read in `order`; `te=` and
    `unet=` say it by name and win. Further fields without a name (A1111's `dyn`) are passed over.
    Raises `EngineError` for a tag that names no LoRA or whose strength is no number.
    """
    tags = tuple(_read_tag(found[0], found[1], order) for found in _TAG.finditer(prompt))
    return _TAG.sub("", prompt), tags


def _read_tag(tag: str, body: str, order: TagOrder) -> LoraTag:
    name, *fields = (field.strip() for field in body.split(":"))
    if not name:
        raise EngineError(f"The tag “{tag}” names no LoRA; write <lora:name:0.8>.")
    values = [_number(field, tag) for field in fields if "=" not in field]
    named = dict(field.split("=", 1) for field in fields if "=" in field)
    parts = ("te", "unet") if order == "te, unet" else ("unet", "te")
    # The part a value is missing for follows the other one, as every program has it.
    strengths: dict[str, float] = {}
    strength = 1.0
    for i, part in enumerate(parts):
        if part in named:
            strength = _number(named.pop(part), tag)
        elif i < len(values):
            strength = values[i]
        strengths[part] = strength
    return LoraTag(name, strengths["unet"], strengths["te"], tuple(named.items()))


def _number(text: str, tag: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise EngineError(f"“{text}” in the tag “{tag}” is not a number; write <lora:name:0.8>.")
    return float(text)
