"""One way down the noise levels, for all pictures of a batch: the first, or that of a hires fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from engine.embeddings.vocabulary import Vocabulary
from engine.generate.at_once import Room, room_for
from engine.generate.denoise import Denoised, Denoiser
from engine.generate.encode import EmbeddingsCache
from engine.generate.picture_noise import PictureNoise
from engine.generate.regions import EncodedRegions, Stacks, encode_regions
from engine.protocol.request import GenerateRequest
from engine.sampling import sample, sigmas

_ALONE = ("DPM adaptive",)
"""Samplers whose steps depend on all pictures that are drawn at once."""

Step = Callable[[torch.Tensor, int], None]
"""Told x0 of the pictures that are drawn at once, and which call of the UNet it was, from 1."""


@dataclass(frozen=True)
class Known:
    """Finished latents to begin with; [1, 4, h, w], or one for each picture."""

    latents: torch.Tensor
    drawn: torch.Tensor | None = None
    """1 where they are drawn anew and 0 where they stay, [1, 1, h, w]; None: everywhere 1."""

    def kept(self, denoised: torch.Tensor) -> torch.Tensor:
        """x0 with these latents in their places.

        So, whatever the sampler, what stays has the noise that belongs to each step, and no other.
        """
        if self.drawn is None:
            return denoised
        drawn = self.drawn.to(denoised)
        return denoised * drawn + self.latents.to(denoised) * (1 - drawn)


@dataclass(frozen=True)
class DrawingPass:
    """A pass with its prompts encoded."""

    pipe: Any
    request: GenerateRequest
    """Its steps are those that are drawn."""
    table: torch.Tensor
    """The sigmas to visit."""
    whole: torch.Tensor
    """Those of the whole schedule: from all of them the noise of SDE samplers is made."""
    levels: torch.Tensor
    calls: int
    """Of the UNet, for each picture."""
    regions: EncodedRegions
    stacks: Stacks | None
    room: Room

    def draw(
        self, pictures: Sequence[GenerateRequest], on_step: Step, known: Known | None = None
    ) -> Iterator[torch.Tensor]:
        """The finished latents of each picture, float32 [1, 4, height/8, width/8].

        As many are drawn at once as there is room for.
        """
        rows, done = self.regions.rows, 0
        while done < len(pictures):
            alone = self.request.sampler in _ALONE
            count = 1 if alone else max(1, self.room.rows // rows)
            some = pictures[done : done + count]
            yield from self._draw(some, on_step, known)[:, None]
            done += len(some)

    def _draw(
        self, pictures: Sequence[GenerateRequest], on_step: Step, known: Known | None
    ) -> torch.Tensor:
        denoiser = Denoiser(
            self.pipe,
            self.regions.regions,
            levels=self.levels,
            cfg_scale=self.regions.cfg_scale,
            steps=self.request.steps,
            calls=self.calls,
            room=self.room,
            before_call=self.stacks.use if self.stacks is not None else None,
            wants_pair=self.request.is_plus,
        )

        def kept(denoised: torch.Tensor) -> torch.Tensor:
            return denoised if known is None else known.kept(denoised)

        def denoise(latents: torch.Tensor, sigma: torch.Tensor) -> Denoised:
            found = denoiser(latents, sigma)
            if isinstance(found, tuple):
                guided, plain = map(kept, found)
                on_step(guided, denoiser.done)
                return guided, plain
            x0 = kept(found)
            on_step(x0, denoiser.done)
            return x0

        noises = [PictureNoise(picture, self.whole) for picture in pictures]
        noise = torch.cat([noise.initial for noise in noises]).to(self.pipe._execution_device)
        start = noise * self.table[0]
        if known is not None:
            start = known.latents.to(start) + start

        def later(sigma: float, following: float) -> torch.Tensor:
            return torch.cat([noise.later(sigma, following) for noise in noises])

        return kept(sample(self.request.sampler, denoise, start, self.table, noise=later))


def prepare(
    pipe: Any,
    request: GenerateRequest,
    steps: tuple[int, int],
    levels: torch.Tensor,
    cache: EmbeddingsCache | None,
    vocabulary: Vocabulary,
    stacks: Stacks | None,
    steps_before: int = 0,
) -> DrawingPass:
    """Encode the prompts of a pass that draws the last of some steps: `steps` are both numbers.

    Raises `EngineError` for prompts and masks that cannot be read.
    """
    planned, drawn = steps
    whole = sigmas(request.schedule, planned, request.sampler, levels)
    table = whole[planned - drawn :]
    calls = count_calls(request.sampler, table)
    own = replace(request, steps=drawn)
    regions = encode_regions(pipe, own, calls, cache, vocabulary, stacks, steps_before)
    room = room_for(pipe._execution_device, request.width * request.height, regions.rows)
    return DrawingPass(pipe, own, table, whole, levels, calls, regions, stacks, room)


def count_calls(sampler: str, table: torch.Tensor) -> int:
    """How often a sampler calls for x0 over these sigmas; of one that looks for its own, about."""
    calls = 0

    def denoise(latents: torch.Tensor, _: torch.Tensor) -> Denoised:
        nonlocal calls
        calls += 1
        return latents * 0

    sample(sampler, denoise, torch.zeros(1, 4, 1, 1), table, seeds=(0,))
    return calls
