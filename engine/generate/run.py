"""Draw the pictures of a request, some at once, by a sampling loop of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from engine.embeddings.vocabulary import NO_EMBEDDINGS, Vocabulary
from engine.errors import CancelledError
from engine.generate.at_once import room_for
from engine.generate.check import check_request
from engine.generate.decode import decode
from engine.generate.denoise import Denoised, Denoiser
from engine.generate.encode import EmbeddingsCache
from engine.generate.noise_levels import training_sigmas
from engine.generate.picture_noise import PictureNoise
from engine.generate.preview import SDXL_RGB, LatentRgb, draw_preview
from engine.generate.regions import EncodedRegions, Stacks, encode_regions
from engine.modes.place import rest
from engine.protocol.events import Preview
from engine.protocol.request import GenerateRequest, draw_seed
from engine.sampling import sample, sigmas
from engine.words.lora_tags import split_tags

_ALONE = ("DPM adaptive",)
"""Samplers whose steps depend on all pictures that are drawn at once."""


@dataclass(frozen=True)
class GeneratedPicture:
    """A finished picture; drawn again alone with its seeds, it comes out the same."""

    image: Image.Image
    seed: int
    index: int
    """Its place in the batch, from 0."""
    variation_seed: int | None = None
    """Where it counts."""


@dataclass(frozen=True)
class GenerationReport:
    """What a generation did: its first seed, its UNet steps, and what the user should know."""

    seed: int
    total_steps: int
    warnings: tuple[str, ...] = ()


def generate(
    pipe: Any,
    request: GenerateRequest,
    *,
    cancelled: Callable[[], bool],
    on_step: Callable[[int, int, Preview | None], None],
    on_picture: Callable[[GeneratedPicture], None],
    on_start: Callable[[int, int], None] | None = None,
    latent_rgb: LatentRgb | None = None,
    embeddings_cache: EmbeddingsCache | None = None,
    vocabulary: Vocabulary = NO_EMBEDDINGS,
    stacks: Stacks | None = None,
) -> GenerationReport:
    """Draw `request.batch` pictures with a loaded `StableDiffusionXLPipeline`.

    `on_start(seed, total)` tells the drawn seed and the steps of the whole batch, as counted by
    calls of the UNet for each picture (Heun, DPM2 and DPM++ SDE need two a step, but one for the
    last); then come `on_step(done, total, preview)` and `on_picture`. As many pictures are drawn at
    once as there is memory for; their steps count together, and previews show the first of them.
    `vocabulary` has the textual inversions that the prompts name. `stacks` makes the LoRAs live
    that count in each pass of the UNet, where it is not one stack for all.

    Raises `EngineError` before anything starts when the request cannot be drawn, `CancelledError`
    within a step once `cancelled()` is true. Weights that are offloaded are back in main memory at
    the end.
    """
    check_request(request)
    request = request.with_seeds(draw_seed)
    levels = training_sigmas(pipe.scheduler.config)
    table = sigmas(request.schedule, request.steps, request.sampler, levels)
    calls = count_calls(request.sampler, table)
    total = request.batch * calls
    _stop_if(cancelled)
    warnings = list(vocabulary.warnings)
    if split_tags(request.negative_prompt)[1]:
        warnings.append(
            "LoRA tags in the negative prompt switch nothing: write them in the prompt."
        )
    try:
        regions = encode_regions(pipe, request, calls, embeddings_cache, vocabulary, stacks)
        warnings += regions.notes
        if on_start is not None:
            on_start(request.seed, total)
        progress = _Progress(request, calls, cancelled, on_step, latent_rgb or SDXL_RGB)
        drawn = _drawn(pipe, request, regions, table, levels, progress, stacks)
        for index, (picture, latents) in enumerate(drawn):
            _stop_if(cancelled)
            image, warning = decode(pipe, latents)
            if warning is not None and warning not in warnings:
                warnings.append(warning)
            varied = picture.variation_seed if picture.variation_strength > 0 else None
            on_picture(GeneratedPicture(image, picture.seed, index, varied))
    finally:
        rest(pipe)
    return GenerationReport(request.seed, total, tuple(warnings))


@dataclass
class _Progress:
    """Counts UNet calls over a batch, and stops the run when asked."""

    request: GenerateRequest
    calls: int
    """For each picture."""
    cancelled: Callable[[], bool]
    on_step: Callable[[int, int, Preview | None], None]
    latent_rgb: LatentRgb
    done: int = 0

    def step(self, x0: torch.Tensor, call: int) -> None:
        """A call for all pictures of `x0` is done, from 1."""
        _stop_if(self.cancelled)
        total = self.request.batch * self.calls
        # A sampler that looks for its own steps may take more than was foreseen.
        self.done = min(self.done + len(x0), total)
        every = self.request.preview_every
        is_due = every and (call % every == 0 or call == self.calls)
        self.on_step(self.done, total, draw_preview(x0, self.latent_rgb) if is_due else None)


def _drawn(
    pipe: Any,
    request: GenerateRequest,
    regions: EncodedRegions,
    table: torch.Tensor,
    levels: torch.Tensor,
    progress: _Progress,
    stacks: Stacks | None,
) -> Iterator[tuple[GenerateRequest, torch.Tensor]]:
    """Each picture of a batch: its request, and its latents, float32 [1, 4, height/8, width/8]."""
    rows = regions.rows
    room = room_for(pipe._execution_device, request.width * request.height, rows)
    first = 0
    while first < request.batch:
        _stop_if(progress.cancelled)
        count = max(1, room.rows // rows) if request.sampler not in _ALONE else 1
        last = min(first + count, request.batch)
        pictures = [request.picture(index) for index in range(first, last)]
        denoiser = Denoiser(
            pipe,
            regions.regions,
            levels=levels,
            cfg_scale=regions.cfg_scale,
            steps=request.steps,
            calls=progress.calls,
            room=room,
            before_call=stacks.use if stacks is not None else None,
            wants_pair=request.is_plus,
        )
        yield from zip(pictures, _draw(pictures, table, denoiser, progress), strict=True)
        first = last


def _draw(
    pictures: Sequence[GenerateRequest],
    table: torch.Tensor,
    denoiser: Denoiser,
    progress: _Progress,
) -> Sequence[torch.Tensor]:
    """The finished latents of pictures that are drawn at once."""

    def denoise(latents: torch.Tensor, sigma: torch.Tensor) -> Denoised:
        x0 = denoiser(latents, sigma)
        progress.step(x0[0] if isinstance(x0, tuple) else x0, denoiser.done)
        return x0

    noises = [PictureNoise(picture, table) for picture in pictures]
    start = torch.cat([noise.initial for noise in noises]).to(denoiser.pipe._execution_device)

    def later(sigma: float, following: float) -> torch.Tensor:
        return torch.cat([noise.later(sigma, following) for noise in noises])

    finished = sample(pictures[0].sampler, denoise, start * table[0], table, noise=later)
    return tuple(finished[:, None])


def count_calls(sampler: str, table: torch.Tensor) -> int:
    """How often a sampler calls for x0 over these sigmas; of one that looks for its own, about."""
    calls = 0

    def denoise(latents: torch.Tensor, _: torch.Tensor) -> Denoised:
        nonlocal calls
        calls += 1
        return latents * 0

    sample(sampler, denoise, torch.zeros(1, 4, 1, 1), table, seeds=(0,))
    return calls


def _stop_if(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise CancelledError("The generation was cancelled.")
