"""Samplers come to the solution of the equation, and to what diffusers draws where they agree."""

from typing import Any

import pytest
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler
from torch import Tensor

from engine.sampling import sample, sigmas
from tests.sampling.test_samplers import bent, draws, gaussian, off, start

SDXL: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
                        "timestep_spacing": "linspace"}  # fmt: skip


def by_diffusers(scheduler: Any, x: Tensor, scaled: bool) -> Tensor:
    """The same loop as a pipeline's; `scaled` latents have the variance 1 at every step."""
    scheduler.set_timesteps(20)
    levels = scheduler.sigmas.double()
    if scaled:
        x = x / (1 + levels[0] ** 2).sqrt()
    for sigma, timestep in zip(levels[:-1], scheduler.timesteps, strict=True):
        scheduler.scale_model_input(x, timestep)
        latents = x * (1 + sigma**2).sqrt() if scaled else x
        epsilon = (latents - bent(latents, sigma)) / sigma
        x = scheduler.step(epsilon, timestep, x).prev_sample
    return x.double()


@pytest.mark.parametrize(
    ("sampler", "schedule", "scheduler"),
    [
        ("Euler", "Uniform", EulerDiscreteScheduler(**SDXL)),
        ("Euler", "Karras", EulerDiscreteScheduler(**SDXL, use_karras_sigmas=True)),
        ("Heun", "Uniform", HeunDiscreteScheduler(**SDXL)),
        ("Heun", "Karras", HeunDiscreteScheduler(**SDXL, use_karras_sigmas=True)),
        ("DPM++ 2M", "Karras", DPMSolverMultistepScheduler(**SDXL, use_karras_sigmas=True)),
    ],
)
def test_diffusers_draws_the_same(sampler: str, schedule: str, scheduler: Any) -> None:
    levels = sigmas(schedule, 20, sampler=sampler)
    ours = sample(sampler, lambda x, s: bent(x, s.view(-1, 1, 1, 1)), start(levels), levels,
                  noise=draws())  # fmt: skip
    assert off(ours, by_diffusers(scheduler, start(levels).double(), sampler == "DPM++ 2M")) < 1e-4


FIRST_ORDER = ("Euler", "DDIM", "HeunPP2")
"""HeunPP2 too: where sigma is small, nearly all the weight is on the first of its slopes."""


@pytest.mark.parametrize(
    "sampler",
    [*FIRST_ORDER, "Heun", "LMS", "DPM2", "DPM++ 2M", "PLMS", "UniPC", "UniPC BH2", "DEIS",
     "IPNDM", "Res Multistep"],
)  # fmt: skip
def test_more_steps_come_closer_to_the_solution(sampler: str) -> None:
    """Of pixels with variance 0.7 around 0.2, the way to any smaller sigma is known exactly."""
    errors = []
    for steps in (20, 160):
        levels = sigmas("Karras", steps, sampler=sampler).double()
        x = start(levels.float())
        # LMS integrates down to 0; the last step of the others is what the model makes of it.
        low = levels[-1] if sampler == "LMS" else levels[-2]
        solution = 0.2 + (x.double() - 0.2) * ((0.7 + low**2) / (0.7 + levels[0] ** 2)).sqrt()
        drawn = sample(sampler, lambda x, s: gaussian(x, s.view(-1, 1, 1, 1)), x, levels,
                       noise=draws())  # fmt: skip
        errors.append(off(drawn, gaussian(solution, low)))
    # Eight times the steps: an eighth of the error, or a 64th and less.
    assert errors[1] < errors[0] / (7 if sampler in FIRST_ORDER else 45)
