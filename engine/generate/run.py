"""Draw the pictures of a request: a pass over each, and a second one for a hires fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from engine.embeddings.vocabulary import NO_EMBEDDINGS, Vocabulary
from engine.errors import CancelledError
from engine.generate.check import check_request
from engine.generate.decode import decode
from engine.generate.drawing_pass import DrawingPass, Known, prepare
from engine.generate.encode import EmbeddingsCache
from engine.generate.noise_levels import training_sigmas
from engine.generate.preview import SDXL_RGB, LatentRgb, Previews
from engine.generate.regions import Stacks
from engine.generate.start import Start, open_start
from engine.generate.upscale import enlarged
from engine.modes.place import rest
from engine.protocol.events import Preview
from engine.protocol.passes import planned_and_drawn
from engine.protocol.request import GenerateRequest, draw_seed
from engine.words.lora_tags import split_tags

OnStep = Callable[[int, int, Preview | None], None]
"""Told how many steps of how many are done, perhaps with a preview."""


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
    on_step: OnStep,
    on_picture: Callable[[GeneratedPicture], None],
    on_start: Callable[[int, int], None] | None = None,
    on_pass: Callable[[int], None] | None = None,
    latent_rgb: LatentRgb | None = None,
    embeddings_cache: EmbeddingsCache | None = None,
    vocabulary: Vocabulary = NO_EMBEDDINGS,
    stacks: Sequence[Stacks | None] = (None, None),
) -> GenerationReport:
    """Draw `request.batch` pictures with a loaded `StableDiffusionXLPipeline`.

    `on_start(seed, total)` tells the drawn seed and the steps of the whole batch, as counted by
    calls of the UNet for each picture (Heun, DPM2 and DPM++ SDE need two a step, but one for the
    last); then come `on_step` and `on_picture`, and before the first step of each pass over a
    picture `on_pass(number)`, from 1. As many pictures are drawn at once as there is memory for;
    their steps count together, and previews show the first of them. `vocabulary` has the textual
    inversions that the prompts name. `stacks` make the LoRAs live that count in each call of the
    UNet, for each pass, where it is not one stack for all.

    Raises `EngineError` before anything starts when the request cannot be drawn, `CancelledError`
    within a step once `cancelled()` is true. Weights that are offloaded are back in main memory at
    the end.
    """
    check_request(request)
    request = request.with_seeds(draw_seed)
    _stop_if(cancelled)
    warnings = dict.fromkeys(vocabulary.warnings)
    second = request.second_pass or request
    if any(split_tags(one.negative_prompt)[1] for one in (request, second)):
        words = "LoRA tags in the negative prompt switch nothing: write them in the prompt."
        warnings[words] = None
    try:
        passes = _passes(pipe, request, embeddings_cache, vocabulary, stacks)
        start = open_start(pipe, request)
        if start is not None:
            # The UNet needs the room that the VAE has taken.
            rest(pipe)
        for notes in (one.regions.notes for one in passes):
            warnings.update(dict.fromkeys(notes))
        progress = _Progress(request, passes, cancelled, on_step, on_pass, latent_rgb or SDXL_RGB)
        if on_start is not None:
            on_start(request.seed, progress.total)
        drawn = _drawn(pipe, request, passes, progress, start)
        if start is not None and start.warning:
            warnings[start.warning] = None
        for index, (picture, latents, of_enlarging) in enumerate(drawn):
            _stop_if(cancelled)
            image, of_decoding = decode(pipe, latents)
            warnings.update(dict.fromkeys(filter(None, (of_enlarging, of_decoding))))
            if start is not None:
                image = start.put_back(image)
            varied = picture.variation_seed if picture.variation_strength > 0 else None
            on_picture(GeneratedPicture(image, picture.seed, index, varied))
    finally:
        rest(pipe)
    return GenerationReport(request.seed, progress.total, tuple(warnings))


class _Progress:
    """Counts UNet calls over a batch, and stops the run when asked."""

    def __init__(
        self,
        request: GenerateRequest,
        passes: Sequence[DrawingPass],
        cancelled: Callable[[], bool],
        on_step: OnStep,
        on_pass: Callable[[int], None] | None,
        latent_rgb: LatentRgb,
    ) -> None:
        self.total = request.batch * sum(one.calls for one in passes)
        self.cancelled = cancelled
        self._every = request.preview_every
        self._calls = [one.calls for one in passes]
        self._on_step = on_step
        self._on_pass = on_pass
        self._number = 0
        self._previews = Previews(latent_rgb)
        self._done = 0

    def of_pass(self, number: int) -> Callable[[torch.Tensor, int], None]:
        """What counts the calls of a pass, from 1."""
        last = self._calls[number - 1]

        def step(x0: torch.Tensor, call: int) -> None:
            _stop_if(self.cancelled)
            if self._number != number and self._on_pass is not None:
                self._on_pass(number)
            self._number = number
            # A sampler that looks for its own steps may take more than was foreseen.
            self._done = min(self._done + len(x0), self.total)
            is_last = call == last
            is_due = bool(self._every) and (call % self._every == 0 or is_last)
            preview = self._previews.after_call(x0, is_due=is_due, is_last=is_last)
            self._on_step(self._done, self.total, preview)

        return step


def _passes(
    pipe: Any,
    request: GenerateRequest,
    cache: EmbeddingsCache | None,
    vocabulary: Vocabulary,
    stacks: Sequence[Stacks | None],
) -> list[DrawingPass]:
    levels = training_sigmas(pipe.scheduler.config)
    own, of_hires = stacks
    steps = request.start.steps(request.steps) if request.start else (request.steps,) * 2
    first = prepare(pipe, request, steps, levels, cache, vocabulary, own)
    second, hires = request.second_pass, request.hires
    if second is None or hires is None:
        return [first]
    steps = planned_and_drawn(second.steps, hires.denoising, exact=True)
    before = first.request.steps
    return [first, prepare(pipe, second, steps, levels, cache, vocabulary, of_hires, before)]


def _drawn(
    pipe: Any,
    request: GenerateRequest,
    passes: Sequence[DrawingPass],
    progress: _Progress,
    start: Start | None,
) -> Iterator[tuple[GenerateRequest, torch.Tensor, str | None]]:
    """Each picture of a batch: its request, its latents [1, 4, h, w], and a warning."""
    pictures = [request.picture(index) for index in range(request.batch)]
    known = Known(start.latents, start.open_latents()) if start is not None else None
    drawn = passes[0].draw(pictures, progress.of_pass(1), known)
    for picture, latents in zip(pictures, drawn, strict=True):
        second = picture.second_pass
        if second is None or picture.hires is None:
            yield picture, latents, None
            continue
        _stop_if(progress.cancelled)
        size = second.width, second.height
        larger, warning = enlarged(pipe, latents, size, picture.hires.upscaler)
        rest(pipe)
        (finished,) = passes[1].draw([second], progress.of_pass(2), Known(larger))
        yield picture, finished, warning


def _stop_if(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise CancelledError("The generation was cancelled.")
