"""Schedules: their properties for any number of steps, and the numbers other programs give."""

import pytest
import torch

from engine.errors import EngineError
from engine.sampling import SAMPLERS, SCHEDULES, sigmas


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 11, 20, 50, 99, 150])
def test_a_schedule_descends_to_zero(schedule: str, steps: int) -> None:
    for sampler in SAMPLERS:
        levels = sigmas(schedule, steps, sampler=sampler)
        assert levels.dtype == torch.float32
        assert levels[-1] == 0
        assert (levels.diff() < 0).all()
        assert levels[0] < 14.6151


@pytest.mark.parametrize("sampler", ["Euler", "Euler a", "Heun"])
def test_automatic_starts_at_the_models_largest_sigma(sampler: str) -> None:
    assert sigmas("Automatic", 20, sampler=sampler)[0].item() == pytest.approx(14.6146, abs=1e-4)


@pytest.mark.parametrize(("schedule", "steps"), [("Nothing", 20), ("Karras", 0), ("Karras", -3)])
def test_what_cannot_be_is_refused(schedule: str, steps: int) -> None:
    with pytest.raises(EngineError):
        sigmas(schedule, steps)
