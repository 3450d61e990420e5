"""The regions of a prompt: what the UNet reads in each, and where they lie, with soft edges."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from msgspec import structs
from PIL import Image

from engine.embeddings.vocabulary import Vocabulary
from engine.errors import EngineError
from engine.files.picture_file import picture_of
from engine.files.picture_pixels import as_mask
from engine.generate.denoise import Region
from engine.generate.encode import EmbeddingsCache
from engine.generate.guidance import EncodedPrompts, Guidance, encode_prompts
from engine.protocol.request import GenerateRequest
from engine.words.lora_tags import split_tags
from engine.words.other_tags import notes_on_tags
from engine.words.prompt_language.parts import tags_that_never_change
from engine.words.prompt_language.regions import Box, Regions, read_regions

BASE_SHARE = 0.2
"""How much the prompt for all of the picture counts beside those of the regions."""
EDGE = 1 / 12
"""Width of the soft edge between two regions, as a share of the picture's side."""


class Stacks(Protocol):
    """The stack of LoRAs for each pass of the UNet, by step and region, both from 0."""

    def use(self, step: int, region: int) -> None:
        """Make it live."""

    def text_at(self, step: int, region: int) -> Hashable:
        """Equal for places where the text encoders have equal weights."""


@dataclass(frozen=True)
class EncodedRegions:
    """What is drawn where in a picture."""

    regions: Sequence[Region]
    rows: int
    """Latents that the UNet takes for one picture in the pass of a region, at most."""
    cfg_scale: float
    notes: tuple[str, ...]
    """What was not understood."""


def encode_regions(
    pipe: Any,
    request: GenerateRequest,
    calls: int,
    cache: EmbeddingsCache | None,
    vocabulary: Vocabulary,
    stacks: Stacks | None,
    steps_before: int = 0,
) -> EncodedRegions:
    """Encode the prompts of all regions; a prompt without regions is one that is everywhere.

    Texts are read by the text encoders as they are at each step. `steps_before` are those of the
    pass before this one. Raises `EngineError` for a prompt
    or a mask that cannot be read.
    """
    found = regions_of(request)
    prompts = [found.base] if found.base or not found.regions else []
    prompts += [region.text for region in found.regions]
    height, width = request.height // 8, request.width // 8
    masks: list[torch.Tensor | None] = [None]
    if found.regions:
        masks = list(region_masks(found, request.region_masks, height, width))
    regions, rows, notes = (
        list[Region](),
        0,
        [
            *found.notes,
            *tags_that_never_change(request.prompt),
            *notes_on_tags(request.prompt),
            *notes_on_tags(request.negative_prompt),
        ],
    )
    for number, (prompt, mask) in enumerate(zip(prompts, masks, strict=True)):
        own = replace(request, prompt=prompt)

        def encode(stays: bool, own: GenerateRequest = own) -> EncodedPrompts:
            kept = cache if stays else None
            return encode_prompts(pipe, own, calls, kept, vocabulary, steps_before)

        encoded, guidance = _over_steps(encode, request.steps, calls, number, stacks)
        notes += [note for note in encoded.notes if note not in notes]
        rows = max(rows, len(encoded.parts) + request.is_guided)
        regions.append(Region(guidance, mask))
    return EncodedRegions(regions, rows, encoded.cfg_scale, tuple(notes))


def _over_steps(
    encode: Callable[[bool], EncodedPrompts],
    steps: int,
    calls: int,
    region: int,
    stacks: Stacks | None,
) -> tuple[EncodedPrompts, Callable[[int], Guidance]]:
    if stacks is None:
        encoded = encode(True)
        return encoded, encoded
    keys = [stacks.text_at(step, region) for step in range(steps)]
    texts: dict[Hashable, EncodedPrompts] = {}
    for step, key in enumerate(keys):
        if key not in texts:
            stacks.use(step, region)
            texts[key] = encode(False)

    def guidance(call: int) -> Guidance:
        return texts[keys[min(call * steps // calls, steps - 1)]](call)

    return texts[keys[0]], guidance


def regions_of(request: GenerateRequest) -> Regions:
    """The regions that a request's prompt is written in; raises `EngineError` for what is wrong."""
    masks = request.region_masks
    regions = read_regions(request.prompt, request.region_ratios, bool(masks))
    # LoRAs for all of the picture are no prompt for it.
    regions = structs.replace(regions, base=split_tags(regions.base)[0].strip())
    if request.region_stacks and len(request.region_stacks) != len(regions.regions):
        raise EngineError("Each region has its LoRAs, or none has any of its own.")
    if masks and len(masks) != len(regions.regions):
        raise EngineError(
            f"There are {len(masks)} masks for {len(regions.regions)} regions of the prompt; part "
            "the prompts of the regions by ADDCOL."
        )
    return regions


def region_masks(
    regions: Regions, pictures: Sequence[Path], height: int, width: int
) -> list[torch.Tensor]:
    """How much each prompt counts at each latent: [1, 1, height, width], in 0..1, all adding to 1.

    First that of the base, where it has a prompt, then those of the regions. Where no region is,
    the base counts alone; without one, all regions do. Raises `EngineError` for a mask picture that
    cannot be read.
    """
    if pictures:
        drawn = torch.stack([_mask_of_picture(path, height, width) for path in pictures])
    else:
        drawn = torch.stack([_mask_of_box(each.box, height, width) for each in regions.regions])
    total = drawn.sum(0)
    if not regions.base:
        shares = torch.where(total > 0, drawn / total, 1 / len(drawn))
        return list(shares[:, None, None])
    # Regions that overlap share; where they are faint, the base fills up.
    own = (1 - BASE_SHARE) * drawn / total.clamp(min=1)
    return list(torch.cat([1 - own.sum(0, keepdim=True), own])[:, None, None])


def _mask_of_box(box: Box, height: int, width: int) -> torch.Tensor:
    return torch.outer(_ramp(box.y0, box.y1, height), _ramp(box.x0, box.x1, width))


def _ramp(start: float, end: float, count: int) -> torch.Tensor:
    """1 between two shares of a side; neighbours fade into each other."""
    places = (torch.arange(count) + 0.5) / count
    rising = ((places - start) / EDGE + 0.5).clamp(0, 1) if start > 0 else torch.ones(count)
    falling = ((end - places) / EDGE + 0.5).clamp(0, 1) if end < 1 else torch.ones(count)
    return torch.minimum(rising, falling)


def _mask_of_picture(path: Path, height: int, width: int) -> torch.Tensor:
    """White is inside; grey is in between."""
    size, box = (width, height), Image.Resampling.BOX
    grey = picture_of(path, lambda picture: as_mask(picture).resize(size, box))
    values = torch.frombuffer(bytearray(grey.tobytes()), dtype=torch.uint8)
    return values.reshape(height, width) / 255
