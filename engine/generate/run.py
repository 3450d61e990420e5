"""Draw the pictures of a request with diffusers' SDXL pipeline, one by one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from engine.embeddings.vocabulary import NO_EMBEDDINGS, Vocabulary
from engine.errors import CancelledError, EngineError
from engine.generate.check import check_request
from engine.generate.decode import decode
from engine.generate.encode import EmbeddingsCache, PromptEmbeddings, encode_texts
from engine.generate.preview import SDXL_RGB, LatentRgb, draw_preview, watch_x0
from engine.generate.samplers import make_scheduler, sampler_eta, seed_noise
from engine.modes.place import rest
from engine.protocol.events import Preview
from engine.protocol.request import GenerateRequest
from engine.words.lora_tags import split_tags
from engine.words.sampler_names import SUPPORTED


@dataclass(frozen=True)
class GeneratedPicture:
    """A finished picture; drawn again alone with its `seed`, it comes out the same."""

    image: Image.Image
    seed: int
    index: int
    """Its place in the batch, from 0."""


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
) -> GenerationReport:
    """Draw `request.batch` pictures with a loaded `StableDiffusionXLPipeline`.

    `on_start(seed, total)` tells the drawn seed and the steps of the whole batch, as counted by
    calls of the UNet (Heun, DPM2 and DPM++ SDE need two a step, but one for the last); then come
    `on_step(done, total, preview)` and `on_picture`. Noise is drawn on the CPU: picture i has the
    seed `seed + i` on every device. `vocabulary` has the textual inversions that the prompts name.

    Raises `EngineError` before anything starts when the request cannot be drawn, `CancelledError`
    within a step once `cancelled()` is true. The pipeline keeps its own scheduler, and weights that
    are offloaded are back in main memory at the end.
    """
    check_request(request)
    scheduler = prepare_scheduler(request, pipe.scheduler.config)
    total = request.batch * len(scheduler.timesteps)
    seed = draw_seed() if request.seed == -1 else request.seed
    _stop_if(cancelled)
    guided = request.cfg_scale > 1
    texts = (request.prompt, request.negative_prompt) if guided else (request.prompt,)
    warnings = list(vocabulary.warnings)
    if split_tags(request.negative_prompt)[1]:
        warnings.append(
            "LoRA tags in the negative prompt switch nothing: write them in the prompt."
        )
    try:
        embeddings = encode_texts(
            pipe,
            texts,
            request.clip_skip,
            embeddings_cache,
            vocabulary,
            request.empty_negative,
        )
        if on_start is not None:
            on_start(seed, total)
        progress = _Progress(request, total, cancelled, on_step, latent_rgb or SDXL_RGB)
        for index in range(request.batch):
            _stop_if(cancelled)
            latents = _denoise(pipe, request, scheduler, embeddings, seed + index, progress)
            _stop_if(cancelled)
            image, warning = decode(pipe, latents)
            if warning is not None and warning not in warnings:
                warnings.append(warning)
            on_picture(GeneratedPicture(image, seed + index, index))
    finally:
        rest(pipe)
    return GenerationReport(seed, total, tuple(warnings))


def draw_seed() -> int:
    """A random seed of the size people pass around: 32 bits."""
    return random.SystemRandom().randrange(2**32)


def prepare_scheduler(request: GenerateRequest, base_config: Any) -> Any:
    """Build the request's scheduler with its timesteps set: as many as the UNet will be called.

    Raises `EngineError` when there is no such scheduler, or none for this number of steps.
    """
    schedule = request.schedule
    if request.steps == 1 and "SGM Uniform" in SUPPORTED[request.sampler]:
        # Only this spacing puts a single step at pure noise; the others put it at the very end.
        schedule = "SGM Uniform"
    scheduler = make_scheduler(request.sampler, schedule, base_config)
    scheduler.set_timesteps(request.steps)
    if scheduler.timesteps.min() < 0:
        # diffusers' "trailing" tables gain a step below zero at a few counts, by rounding.
        raise EngineError(
            f"{request.sampler} with this schedule has no table for {request.steps} steps: "
            f"take a few more or fewer."
        )
    return scheduler


@dataclass
class _Progress:
    """Counts UNet calls over a batch, and stops the run when asked."""

    request: GenerateRequest
    total: int
    cancelled: Callable[[], bool]
    on_step: Callable[[int, int, Preview | None], None]
    latent_rgb: LatentRgb
    done: int = 0

    def step(self, x0: torch.Tensor | None) -> None:
        _stop_if(self.cancelled)
        self.done += 1
        every = self.request.preview_every
        due = every and (self.done % every == 0 or self.done == self.total)
        preview = draw_preview(x0, self.latent_rgb) if due and x0 is not None else None
        self.on_step(self.done, self.total, preview)


def _denoise(
    pipe: Any,
    request: GenerateRequest,
    scheduler: Any,
    embeddings: tuple[PromptEmbeddings, ...],
    seed: int,
    progress: _Progress,
) -> torch.Tensor:
    """Run the pipeline up to the finished latents [1, 4, height / 8, width / 8]."""
    positive, *negative = embeddings
    pipe.set_progress_bar_config(disable=True)
    seed_noise(scheduler, seed)
    with _using(pipe, scheduler), watch_x0(scheduler) as x0:

        def on_step_end(_pipe: Any, _i: int, _t: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
            progress.step(x0.latents)
            return kwargs

        (latents,) = pipe(
            prompt_embeds=positive.states,
            pooled_prompt_embeds=positive.pooled,
            negative_prompt_embeds=negative[0].states if negative else None,
            negative_pooled_prompt_embeds=negative[0].pooled if negative else None,
            width=request.width,
            height=request.height,
            num_inference_steps=request.steps,
            guidance_scale=request.cfg_scale,
            eta=sampler_eta(request.sampler),
            generator=torch.Generator("cpu").manual_seed(seed),
            callback_on_step_end=on_step_end,
            callback_on_step_end_tensor_inputs=[],
            output_type="latent",
            return_dict=False,
        )
    result: torch.Tensor = latents
    return result


@contextmanager
def _using(pipe: Any, scheduler: Any) -> Iterator[None]:
    """Lend the pipeline a scheduler; it gets its own back in any case."""
    own = pipe.scheduler
    pipe.scheduler = scheduler
    try:
        yield
    finally:
        pipe.scheduler = own


def _stop_if(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise CancelledError("The generation was cancelled.")
