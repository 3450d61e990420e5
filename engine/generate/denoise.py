"""SDXL's UNet as samplers want it: noisy latents and their noise level in, finished latents out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from engine.generate.at_once import Room
from engine.generate.encode import PromptEmbeddings
from engine.generate.guidance import Guidance
from engine.generate.noise_levels import timestep_of
from engine.host_memory import is_out_of_memory
from engine.modes.place import rest

Denoised = torch.Tensor | tuple[torch.Tensor, torch.Tensor]
"""x0, or (guided, unconditional), which the samplers of CFG++ need."""


@dataclass(frozen=True)
class Region:
    """A part of the picture with prompts of its own, which may change from call to call."""

    guidance: Callable[[int], Guidance]
    """What counts in a call of the sampler, from 0."""
    mask: torch.Tensor | None = None
    """How much it counts at each latent, [1, 1, h, w] or for each picture; None is everywhere the
    same."""


@dataclass
class Denoiser:
    """Call it with noisy latents [n, 4, h, w] and sigma [n] (one and the same) for x0 [n, 4, h, w].

    Latents are float32 and the UNet has its own type. In each call every region is one pass of the
    UNet, all its prompts and pictures together, and the regions are joined by their masks.
    """

    pipe: Any
    regions: Sequence[Region]
    levels: torch.Tensor
    """The model's training sigmas, ascending."""
    cfg_scale: float
    steps: int
    calls: int
    """How often a sampler calls in `steps` steps."""
    room: Room
    before_call: Callable[[int, int], None] | None = None
    """Told the step and the region before each pass: the place to change weights."""
    wants_pair: bool = False
    """Whether to return (guided, unconditional)."""
    done: int = 0
    """Calls until now."""

    @torch.no_grad()
    def __call__(self, latents: torch.Tensor, sigma: torch.Tensor) -> Denoised:
        # Samplers of second order call twice a step.
        call, step = self.done, min(self.done * self.steps // self.calls, self.steps - 1)
        self.done += 1
        drawn = []
        for index, region in enumerate(self.regions):
            if self.before_call is not None:
                self.before_call(step, index)
            drawn.append(self._region(region.guidance(call), latents, sigma[0]))
        guided, plain = (self._join(parts) for parts in zip(*drawn, strict=True))
        return (guided, plain) if self.wants_pair else guided

    def _join(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """One picture of what the regions drew, each by its share of the masks."""
        if len(parts) == 1:
            return parts[0]
        masks = [
            torch.ones_like(part[:, :1]) if region.mask is None else region.mask.to(part)
            for region, part in zip(self.regions, parts, strict=True)
        ]
        shares = torch.stack(masks)
        joined = (shares * torch.stack(list(parts))).sum(0)
        return joined / shares.sum(0)

    def _region(
        self, guidance: Guidance, latents: torch.Tensor, sigma: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The guided and the unconditional x0 of one region."""
        negative = guidance.negative
        texts = [*([negative] if negative is not None else []), *(p for p, _ in guidance.prompts)]
        first, *others = self._x0(texts, latents, sigma)
        if negative is None:
            return first, first
        guided = first
        for x0, (_, weight) in zip(others, guidance.prompts, strict=True):
            guided = guided + self.cfg_scale * weight * (x0 - first)
        return guided, first

    def _x0(
        self, texts: Sequence[PromptEmbeddings], latents: torch.Tensor, sigma: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """What the UNet predicts for each text, [n, 4, h, w] each."""
        count = len(latents)
        scale = (sigma**2 + 1).sqrt()
        rows = (latents / scale).to(self.pipe.unet.dtype).repeat(len(texts), 1, 1, 1)
        states = torch.cat([text.states for text in texts]).to(rows).repeat_interleave(count, 0)
        pooled = torch.cat([text.pooled for text in texts]).to(rows).repeat_interleave(count, 0)
        timestep = timestep_of(sigma, self.levels)
        output = self._in_pieces(rows, timestep, states, pooled).float()
        given = latents.repeat(len(texts), 1, 1, 1)
        if self.pipe.scheduler.config.prediction_type == "v_prediction":
            x0 = given / scale**2 - output * sigma / scale
        else:
            x0 = given - output * sigma
        return tuple(x0.unflatten(0, (len(texts), count)))

    def _in_pieces(self, rows: torch.Tensor, timestep: torch.Tensor, *texts: torch.Tensor) -> Any:
        """The UNet's output for all rows, in as many passes as the memory asks for."""
        outputs: list[torch.Tensor] = []
        done = 0
        while done < len(rows):
            piece = slice(done, done + self.room.rows)
            tried = len(rows[piece])
            try:
                outputs.append(self._unet(rows[piece], timestep, *(text[piece] for text in texts)))
                done += tried
                continue
            except (MemoryError, RuntimeError) as error:
                if tried == 1 or not is_out_of_memory(error):
                    raise
            # Not while the error is handled: it keeps alive what the failed try has made.
            rest(self.pipe)
            self.room.halve(tried)
        return torch.cat(outputs)

    def _unet(
        self, rows: torch.Tensor, timestep: torch.Tensor, states: torch.Tensor, pooled: torch.Tensor
    ) -> torch.Tensor:
        """One pass. The picture is whole and of its own size: SDXL reads both beside the text."""
        factor = self.pipe.vae_scale_factor
        height, width = (side * factor for side in rows.shape[-2:])
        sizes = torch.tensor([[height, width, 0, 0, height, width]], device=rows.device)
        added = {"text_embeds": pooled, "time_ids": sizes.float().repeat(len(rows), 1)}
        output: torch.Tensor = self.pipe.unet(
            rows,
            timestep,
            encoder_hidden_states=states,
            timestep_cond=self._distilled_guidance(rows),
            added_cond_kwargs=added,
            return_dict=False,
        )[0]
        return output

    def _distilled_guidance(self, rows: torch.Tensor) -> torch.Tensor | None:
        """The guidance as an input of its own, for UNets that were distilled to take it."""
        width = self.pipe.unet.config.time_cond_proj_dim
        if width is None:
            return None
        scale = torch.tensor(self.cfg_scale - 1).repeat(len(rows))
        embedded: torch.Tensor = self.pipe.get_guidance_scale_embedding(scale, embedding_dim=width)
        return embedded.to(rows)
