"""v-prediction and zero terminal SNR, from the marks in the file to the finished latents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler, HeunDiscreteScheduler

from engine.checkpoint import open_checkpoint
from engine.generate.run import generate
from engine.sampling import SAMPLERS
from tests.support.tiny_checkpoint import rewrite_checkpoint

# diffusers' schedulers meet numpy 2 with hundreds of thousands of these.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array_:DeprecationWarning", "ignore:Should have t"
)

V = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": False}
ZERO_SNR = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
EPSILON = {"prediction_type": "epsilon", "rescale_betas_zero_snr": False}
SDXL_NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.fixture(scope="module")
def open_marked(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Open a copy of the tiny checkpoint with marker tensors and metadata; each only once."""

    @cache
    def build(*markers: str, **metadata: str) -> Any:
        folder = tmp_path_factory.mktemp("marked")

        def mark(tensors: dict[str, torch.Tensor]) -> None:
            tensors.update({name: torch.zeros(0) for name in markers})

        path = rewrite_checkpoint(tiny_checkpoint, folder, mark, **metadata)
        return open_checkpoint(path, device="cpu", dtype=torch.float32).pipeline

    return build


@pytest.mark.parametrize(
    ("markers", "metadata", "settings"),
    [
        ((), {}, EPSILON),
        (("v_pred",), {}, V),
        (("v_pred", "ztsnr"), {}, ZERO_SNR),
        ((), {"modelspec.prediction_type": "v"}, V),
        (("ztsnr",), {"modelspec.prediction_type": "v"}, ZERO_SNR),
        ((), {"modelspec.prediction_type": "epsilon"}, EPSILON),
        (("ztsnr",), {}, EPSILON),
    ],
)
def test_the_marks_of_a_file_are_recognised(
    open_marked: Any, markers: tuple[str, ...], metadata: dict[str, str], settings: dict[str, Any]
) -> None:
    config = open_marked(*markers, **metadata).scheduler.config
    assert {name: config[name] for name in settings} == settings


def draw(pipe: Any, request: Any) -> tuple[Any, Any]:
    pictures: list[Any] = []
    report = generate(
        pipe,
        request,
        cancelled=lambda: False,
        on_step=lambda *_: None,
        on_picture=pictures.append,
    )
    return report, pictures[0].image


@contextmanager
def scheduler_of(pipe: Any, scheduler: Any) -> Iterator[None]:
    own = pipe.scheduler
    pipe.scheduler = scheduler
    yield
    pipe.scheduler = own


LINSPACE = {**SDXL_NOISE, "timestep_spacing": "linspace"}
KARRAS = {**LINSPACE, "use_karras_sigmas": True}
BY_HAND = [
    (("v_pred",), "Euler", "Karras", EulerDiscreteScheduler(**KARRAS, **V)),
    (
        ("v_pred",),
        "Heun",
        "Karras",
        HeunDiscreteScheduler(**KARRAS, prediction_type="v_prediction"),
    ),
    # With four steps the timesteps are whole numbers, which all read alike.
    (("v_pred",), "Euler", "Automatic", EulerDiscreteScheduler(**LINSPACE, **V)),
    (("v_pred", "ztsnr"), "Euler", "Uniform", EulerDiscreteScheduler(**LINSPACE, **ZERO_SNR)),
]


@pytest.mark.parametrize(("markers", "sampler", "schedule", "scheduler"), BY_HAND)
def test_pictures_equal_diffusers_with_the_scheduler_set_by_hand(
    open_marked: Any,
    request_of: Any,
    markers: tuple[str, ...],
    sampler: str,
    schedule: str,
    scheduler: Any,
) -> None:
    pipe = open_marked(*markers)
    request = request_of(
        prompt="a red fox", negative_prompt="blue", sampler=sampler, schedule=schedule, steps=4
    )
    _, ours = draw(pipe, request)
    with scheduler_of(pipe, scheduler):
        (theirs,) = pipe(
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            num_inference_steps=4,
            guidance_scale=request.cfg_scale,
            width=64,
            height=64,
            generator=torch.Generator("cpu").manual_seed(request.seed),
        ).images
    _, as_epsilon = draw(open_marked(), request)
    pixels, same, other = (np.asarray(image, float) for image in (ours, theirs, as_epsilon))
    assert np.abs(pixels - same).max() <= 1
    assert np.abs(pixels - other).max() > 10


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_draws_from_pure_noise(
    open_marked: Any, request_of: Any, sampler: str
) -> None:
    pipe = open_marked("v_pred", "ztsnr")
    report, image = draw(pipe, request_of(sampler=sampler, steps=4))
    assert report.warnings == (), "the latents or the picture were not finite"
    assert np.asarray(image).std() > 1


def test_euler_in_v_prediction_step_by_step(
    open_marked: Any, request_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the formulas of arXiv:2202.00512 with k-diffusion's scaling, without a scheduler."""
    pipe = open_marked("v_pred", "ztsnr")
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    roots = (1 - betas).cumprod(0).sqrt()
    # arXiv:2305.08891, algorithm 1: shift the last to zero, scale the first back.
    roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    # Zero itself would be an infinite sigma; this is what A1111 and ComfyUI let stand for it.
    cumulated = (roots**2).clamp(min=4.8973451890853435e-08)
    timesteps = [999, 666, 333, 0]
    sigmas = [float(((1 - cumulated[t]) / cumulated[t]).sqrt()) for t in timesteps] + [0.0]
    states: list[tuple[float, torch.Tensor, torch.Tensor]] = []
    forward = pipe.unet.forward

    def note(sample: torch.Tensor, timestep: Any, *rest: Any, **options: Any) -> Any:
        (velocity,) = forward(sample, timestep, *rest, **options)
        states.append((float(timestep), sample.clone(), velocity.clone()))
        return (velocity,)

    monkeypatch.setattr(pipe.unet, "forward", note)
    draw(pipe, request_of(sampler="Euler", steps=4, cfg_scale=1))
    assert [timestep for timestep, _, _ in states] == pytest.approx(timesteps, abs=1e-3)
    for number, (_, scaled, velocity) in enumerate(states[:-1]):
        sigma, following = sigmas[number], sigmas[number + 1]
        sample = scaled.double() * (sigma**2 + 1) ** 0.5
        x0 = sample / (sigma**2 + 1) - velocity.double() * sigma / (sigma**2 + 1) ** 0.5
        after = sample + (sample - x0) / sigma * (following - sigma)
        expected = after / (following**2 + 1) ** 0.5
        assert torch.allclose(states[number + 1][1].double(), expected, rtol=1e-3, atol=2e-3)
