"""Every sampler on every schedule, against float64 samplers written from the definitions."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from engine.sampling import SAMPLERS, SCHEDULES, sample, sigmas
from tests.sampling import reference

CFG_PP = {name for name in SAMPLERS if "CFG++" in name}
SHAPE = (2, 4, 3, 5)


def gaussian(x: Tensor, sigma: float | Tensor) -> Tensor:
    """The exact denoiser of pixels with variance 0.7 around 0.2."""
    return 0.2 + (x - 0.2) * (0.7 / (0.7 + sigma**2))


def bent(x: Tensor, sigma: float | Tensor) -> Tensor:
    """The exact denoiser of pixels that are -1 or 1."""
    return torch.tanh(x / sigma**2)


def draws() -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(99)
    while True:
        yield torch.randn(SHAPE, generator=generator)


def start(levels: Tensor) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(3)) * levels[0]


def off(one: Tensor, other: Tensor) -> float:
    return float((one.double() - other).norm() / other.norm())


def test_every_sampler_has_a_reference() -> None:
    assert {*reference.DETERMINISTIC, *reference.STOCHASTIC, *CFG_PP} == set(SAMPLERS)


CASES = [
    *((bent, schedule, 20) for schedule in SCHEDULES),
    # Few steps and many, a number that does not divide the model's, and a smooth denoiser.
    (gaussian, "Automatic", 8), (bent, "Karras", 37), (gaussian, "DDIM", 37), (bent, "Beta", 7),
]  # fmt: skip


@pytest.mark.parametrize("sampler", sorted(set(SAMPLERS) - CFG_PP))
def test_a_sampler_on_every_schedule_as_defined(sampler: str) -> None:
    function = {**reference.DETERMINISTIC, **reference.STOCHASTIC}[sampler]
    for model, schedule, steps in CASES:
        levels = sigmas(schedule, steps, sampler=sampler)
        x, noise = start(levels), draws()
        ours = sample(
            sampler, lambda x, s, model=model: model(x, s.view(-1, 1, 1, 1)), x, levels,
            noise=draws(),
        )  # fmt: skip
        theirs = function(
            model, x.double(), levels.double().tolist(),
            lambda a, b, noise=noise: next(noise).double(),
        )  # fmt: skip
        assert ours.dtype == torch.float32
        assert off(ours, theirs) <= allowed(sampler, schedule), (model, schedule, steps)


def allowed(sampler: str, schedule: str) -> float:
    if sampler == "DPM adaptive":
        # The length of its steps follows an error, and what rounding changes there adds up.
        return 1e-3
    if (sampler, schedule) == ("LMS", "Linear Quadratic"):
        # After even steps comes one 5 times as long, and extrapolating so far magnifies rounding:
        # the reference loses as much in float32.
        return 1e-4
    return 1e-5 if sampler in reference.DETERMINISTIC else 1e-4
