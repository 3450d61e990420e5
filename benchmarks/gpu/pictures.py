"""Pictures for measurements: ours by the sampling loop, and those of diffusers' own pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.generate.run import GeneratedPicture, generate
from engine.protocol.request import GenerateRequest

PROMPT = "a fox in a neon city, rain"
NEGATIVE = "blurry"
GUIDANCE = 6.0


def draw_one(pipe: Any, *, side: int, steps: int, preview_every: int = 0) -> GeneratedPicture:
    """A square picture of ours with guidance."""
    request = GenerateRequest(
        PROMPT,
        Path(),
        NEGATIVE,
        seed=7,
        steps=steps,
        width=side,
        height=side,
        preview_every=preview_every,
    )
    found: list[GeneratedPicture] = []
    generate(
        pipe,
        request,
        cancelled=lambda: False,
        on_step=lambda step, steps, preview: None,
        on_picture=found.append,
    )
    return found[0]


def draw_theirs(pipe: Any, *, side: int, steps: int) -> Any:
    """The same by diffusers' pipeline, with its own scheduler."""
    return pipe(
        PROMPT,
        negative_prompt=NEGATIVE,
        num_inference_steps=steps,
        guidance_scale=GUIDANCE,
        width=side,
        height=side,
    ).images[0]
