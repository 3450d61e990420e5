"""What an infotext says of the picture that was begun with, and of a hires fix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.generate.infotext.fields import Fields
from engine.generate.infotext.numbers import real, size, whole
from engine.protocol.passes import Resize
from engine.protocol.request import GenerateRequest
from engine.words.plain_number import plain_number

_RESIZE_WORDS: Mapping[Resize, str] = {
    "stretch": "Just resize",
    "crop": "Crop and resize",
    "fill": "Resize and fill",
}
_YES = "True"

Written = list[tuple[str, object]]


@dataclass(frozen=True)
class StartUsed:
    """The picture that a drawing began with. Hashes are the first 12 digits of its SHA-256."""

    denoising: float | None = None
    name: str | None = None
    hash: str | None = None
    resize: Resize | None = None
    exact_steps: bool = False
    mask: str | None = None
    mask_hash: str | None = None
    mask_blur: float | None = None

    def written(self) -> Written:
        """The settings by their names; A1111 has none for the files themselves."""
        return [
            ("Denoising strength", _number(self.denoising)),
            ("Init image", self.name),
            ("Init image hash", self.hash),
            ("Resize mode", _RESIZE_WORDS[self.resize] if self.resize else None),
            ("Exact steps", _YES if self.exact_steps else None),
            ("Mask image", self.mask),
            ("Mask image hash", self.mask_hash),
            ("Mask blur", _number(self.mask_blur)),
        ]


@dataclass(frozen=True)
class HiresUsed:
    """A second pass over the enlarged picture; None and empty: as in the first."""

    denoising: float | None = None
    scale: float | None = None
    steps: int | None = None
    upscaler: str | None = None
    """As written: other programs have upscalers that are not known here."""
    prompt: str = ""
    negative_prompt: str = ""

    def written(self) -> Written:
        """The settings under A1111's names and in its order."""
        return [
            ("Denoising strength", _number(self.denoising)),
            ("Hires prompt", self.prompt or None),
            ("Hires negative prompt", self.negative_prompt or None),
            ("Hires upscale", _number(self.scale)),
            ("Hires steps", self.steps),
            ("Hires upscaler", self.upscaler),
        ]


def read_start(fields: Fields) -> StartUsed | None:
    """Take out what is said of a start picture, once what belongs to a hires fix was taken."""
    words = (fields.take_text("resize mode") or "").casefold()
    found = StartUsed(
        denoising=real(fields.take("denoising strength")),
        name=fields.take_text("init image"),
        hash=fields.take_text("init image hash"),
        resize=next((mode for mode, a in _RESIZE_WORDS.items() if a.casefold() == words), None),
        exact_steps=fields.take_text("exact steps") == _YES,
        mask=fields.take_text("mask image"),
        mask_hash=fields.take_text("mask image hash"),
        mask_blur=real(fields.take("mask blur")),
    )
    return None if found == StartUsed() else found


def read_hires(fields: Fields, width: int | None) -> HiresUsed | None:
    """Take out what is said of a hires fix on a picture of some width; None: there was none."""
    scale = real(fields.take("hires upscale"))
    resized = size(fields.take("hires resize"))
    if scale is None and resized is not None and resized[0] and width:
        scale = resized[0] / width
    upscaler = fields.take_text("hires upscaler")
    if scale is None and upscaler is None:
        return None
    return HiresUsed(
        denoising=real(fields.take("denoising strength")),
        scale=scale,
        steps=whole(fields.take("hires steps")),
        upscaler=upscaler,
        prompt=fields.take_text("hires prompt") or "",
        negative_prompt=fields.take_text("hires negative prompt") or "",
    )


def describe_start(request: GenerateRequest, hashes: Mapping[Path, str]) -> StartUsed | None:
    """What the request begins with; `hashes` are those of its pictures."""
    start = request.start
    if start is None:
        return None
    return StartUsed(
        start.denoising,
        start.path.name,
        hashes.get(start.path),
        start.resize,
        start.exact_steps,
        start.mask.name if start.mask else None,
        hashes.get(start.mask) if start.mask else None,
        start.mask_blur if start.mask else None,
    )


def describe_hires(request: GenerateRequest, prompt: str) -> HiresUsed | None:
    """The request's hires fix, with the prompt that its second pass has (empty: the first's)."""
    hires = request.hires
    if hires is None:
        return None
    steps = hires.steps or None
    negative = hires.negative_prompt
    return HiresUsed(hires.denoising, hires.scale, steps, hires.upscaler, prompt, negative)


def _number(value: float | None) -> str | None:
    return None if value is None else plain_number(value)
