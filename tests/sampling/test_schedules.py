"""Schedules: their properties for any number of steps, and the numbers other programs give."""

from itertools import repeat

import pytest
import torch

from engine.errors import EngineError
from engine.sampling import SAMPLERS, SCHEDULES, sample, sigmas


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 11, 20, 50, 99, 150])
def test_a_schedule_descends_to_zero(schedule: str, steps: int) -> None:
    for sampler in SAMPLERS:
        levels = sigmas(schedule, steps, sampler=sampler)
        assert levels.dtype == torch.float32
        assert levels[-1] == 0
        assert (levels.diff() < 0).all()
        assert levels[0] < 14.6151


A1111_SAMPLERS = (
    "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE",
    "Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart",
    "DDIM", "DDIM CFG++", "PLMS", "UniPC", "LCM",
)  # fmt: skip
A1111_SCHEDULES = (
    "Automatic", "Uniform", "Karras", "Exponential", "Polyexponential", "SGM Uniform",
    "KL Optimal", "Align Your Steps", "Simple", "Normal", "DDIM", "Beta",
)  # fmt: skip
BY_TIMESTEP = {"DDIM", "DDIM CFG++", "PLMS"}
"""Samplers that A1111 starts at timestep 951 of 1000 for 20 steps."""


@pytest.mark.parametrize("sampler", A1111_SAMPLERS)
def test_every_sampler_of_a1111_goes_with_every_schedule_of_it(sampler: str) -> None:
    for schedule in A1111_SCHEDULES:
        levels = sigmas(schedule, 20, sampler=sampler)
        ones = torch.ones(1, 1, 2, 2)
        drawn = sample(sampler, lambda x, s: 0 * x, levels[0] * ones, levels, noise=repeat(ones))
        assert torch.isfinite(drawn).all()


@pytest.mark.parametrize("sampler", A1111_SAMPLERS)
def test_automatic_starts_where_a1111_does(sampler: str) -> None:
    variance = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    product = (1 - variance).cumprod(0)
    model = ((1 - product) / product).sqrt()
    start = model[951] if sampler in BY_TIMESTEP else model[999]
    first = sigmas("Automatic", 20, sampler=sampler)[0].item()
    assert first == pytest.approx(float(start), rel=1e-6)
    if sampler not in BY_TIMESTEP:
        assert first == pytest.approx(14.6146, abs=1e-4)


@pytest.mark.parametrize(("schedule", "steps"), [("Nothing", 20), ("Karras", 0), ("Karras", -3)])
def test_what_cannot_be_is_refused(schedule: str, steps: int) -> None:
    with pytest.raises(EngineError):
        sigmas(schedule, steps)
