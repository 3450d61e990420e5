"""The loop draws what diffusers' own pipeline draws, where their schedulers follow k-diffusion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LMSDiscreteScheduler,
)

from engine.generate.run import generate

# diffusers' schedulers meet numpy 2 with hundreds of thousands of these.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array_:DeprecationWarning", "ignore:Should have t"
)

LINSPACE = {"timestep_spacing": "linspace"}
KARRAS = {**LINSPACE, "use_karras_sigmas": True}
EXPONENTIAL = {**LINSPACE, "use_exponential_sigmas": True}
BY_HAND = [
    ("Euler", "Uniform", EulerDiscreteScheduler, LINSPACE),
    ("Euler", "Automatic", EulerDiscreteScheduler, LINSPACE),
    ("Euler", "Karras", EulerDiscreteScheduler, KARRAS),
    ("Euler", "Exponential", EulerDiscreteScheduler, EXPONENTIAL),
    ("Euler a", "Uniform", EulerAncestralDiscreteScheduler, LINSPACE),
    ("Heun", "Karras", HeunDiscreteScheduler, KARRAS),
    ("LMS", "Karras", LMSDiscreteScheduler, KARRAS),
]


def distance(one: Any, other: Any) -> float:
    """The largest difference of two pictures, of 255."""
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).max())


@pytest.mark.parametrize(("sampler", "schedule", "kind", "settings"), BY_HAND)
def test_equals_diffusers(
    pipe: Any,
    draw: Any,
    request_of: Any,
    sampler: str,
    schedule: str,
    kind: Any,
    settings: dict[str, Any],
) -> None:
    # With four steps the timesteps of the uniform schedule are whole numbers, which all read alike.
    request = request_of(
        prompt="a cat, red fox",
        negative_prompt="red",
        sampler=sampler,
        schedule=schedule,
        steps=4,
        width=72,
    )
    (picture,) = draw(request)
    own = pipe.scheduler
    pipe.scheduler = kind.from_config(own.config, **settings)
    try:
        (theirs,) = pipe(
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            num_inference_steps=4,
            guidance_scale=request.cfg_scale,
            width=72,
            height=64,
            generator=torch.Generator("cpu").manual_seed(request.seed),
        ).images
    finally:
        pipe.scheduler = own
    assert picture.image.size == (72, 64)
    assert distance(picture.image, theirs) <= 1
    assert np.asarray(theirs).std() > 1


@pytest.mark.parametrize("sampler", ["Euler", "DPM++ SDE", "Euler a CFG++"])
def test_the_unet_keeps_its_type_and_latents_are_float32(
    half_pipe: Any, request_of: Any, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    seen = set()
    unet = half_pipe.unet.forward

    def note_dtype(sample: torch.Tensor, *rest: Any, **options: Any) -> Any:
        seen.add(sample.dtype)
        return unet(sample, *rest, **options)

    monkeypatch.setattr(half_pipe.unet, "forward", note_dtype)
    steps: list[Any] = []
    report = generate(
        half_pipe,
        request_of(sampler=sampler, prompt="a (red:1.3) fox", steps=2),
        cancelled=lambda: False,
        on_step=lambda *step: steps.append(step),
        on_picture=lambda _: None,
    )
    assert seen == {torch.float16}
    assert report.warnings == (), "the latents or the picture were not finite"
    assert all(preview for _, _, preview in steps)
    assert [total for _, total, _ in steps] == [report.total_steps] * len(steps)
