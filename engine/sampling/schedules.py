"""Schedules: from a number of steps and the model's sigmas to the sigmas to visit.

Each takes the steps and the model's sigmas (float64, ascending) and gives the sigmas from the
largest down, without the zero at the end. Where programs differ, A1111's places are taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import torch
from scipy.special import betaincinv
from torch import Tensor

from engine.sampling.training import sigma_at

Schedule: TypeAlias = Callable[[int, Tensor], Tensor]

_ALIGN_YOUR_STEPS = (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029)
"""What the paper found for SDXL with ten steps."""


def uniform(steps: int, model: Tensor) -> Tensor:
    """Timesteps at equal distances from the last to the first (k-diffusion)."""
    return sigma_at(_line(len(model) - 1, 0, steps), model)


def sgm_uniform(steps: int, model: Tensor) -> Tensor:
    """Timesteps at equal distances that stop one short of the first (Stability's SGM)."""
    return sigma_at(_line(len(model) - 1, 0, steps + 1)[:-1], model)


def karras(steps: int, model: Tensor) -> Tensor:
    """Equal distances of the seventh root of sigma (Karras et al., arXiv:2206.00364)."""
    return _line(float(model[-1]) ** (1 / 7), float(model[0]) ** (1 / 7), steps) ** 7


def exponential(steps: int, model: Tensor) -> Tensor:
    """Equal distances of the logarithm of sigma (k-diffusion)."""
    return _line(math.log(model[-1]), math.log(model[0]), steps).exp()


def polyexponential(steps: int, model: Tensor) -> Tensor:
    """A power of the logarithm of sigma; with the usual power of one, as Exponential."""
    return exponential(steps, model)


def kl_optimal(steps: int, model: Tensor) -> Tensor:
    """Equal distances of the arctangent of sigma (arXiv:2404.14507, for Gaussian data)."""
    return _line(math.atan(model[-1]), math.atan(model[0]), steps + 1)[:-1].tan()


def align_your_steps(steps: int, model: Tensor) -> Tensor:
    """What was optimised for SDXL, log-linear between (Sabour et al., arXiv:2404.14507)."""
    known = torch.tensor(_ALIGN_YOUR_STEPS, dtype=torch.float64)
    return sigma_at(_line(0, len(known) - 1, steps), known)


def simple(steps: int, model: Tensor) -> Tensor:
    """Every n-th of the model's sigmas, from the last (ComfyUI)."""
    stride = len(model) / steps
    return model[[-(1 + int(step * stride)) for step in range(steps)]]


def ddim(steps: int, model: Tensor) -> Tensor:
    """Every n-th of the model's sigmas, from the second (arXiv:2010.02502; n is a whole number).

    Where n does not divide the model's steps there are more sigmas than steps, as elsewhere.
    """
    return model[1 :: max(len(model) // steps, 1)].flip(0)


def beta(steps: int, model: Tensor) -> Tensor:
    """Quantiles of a beta distribution over sigma (Lee et al., arXiv:2407.12173; 0.6 and 0.6)."""
    places = torch.from_numpy(betaincinv(0.6, 0.6, _line(1, 0, steps).numpy()))
    return model[0] + places * (model[-1] - model[0])


def turbo(steps: int, model: Tensor) -> Tensor:
    """The ends of equal parts of the timesteps, as SDXL Turbo was distilled for (2311.17042)."""
    parts = torch.arange(steps, 0, -1, dtype=torch.float64)
    return model[(parts * (len(model) / steps) - 1).round().long().clamp(0, len(model) - 1)]


def linear_quadratic(steps: int, model: Tensor) -> Tensor:
    """Small even steps over the first half, then growing ones (Movie Gen, arXiv:2410.13720)."""
    if steps == 1:
        return model[-1:]
    even, threshold = steps // 2, 0.025
    rest = steps - even
    bend = (even - threshold * steps) / (even * rest**2)
    done = [step * threshold / even for step in range(even)]
    # The parabola leaves the line at its end with the line's slope, and reaches 1 after all steps.
    slope = threshold / even
    done += [slope * step + bend * (step - even) ** 2 for step in range(even, steps)]
    return (1 - torch.tensor(done, dtype=torch.float64)) * model[-1]


SCHEDULE_FUNCTIONS: Mapping[str, Schedule] = MappingProxyType(
    {
        "Uniform": uniform,
        "Karras": karras,
        "Exponential": exponential,
        "Polyexponential": polyexponential,
        "SGM Uniform": sgm_uniform,
        "KL Optimal": kl_optimal,
        "Align Your Steps": align_your_steps,
        "Simple": simple,
        # ComfyUI's name for the places of Uniform.
        "Normal": uniform,
        "DDIM": ddim,
        "Beta": beta,
        "Turbo": turbo,
        "Linear Quadratic": linear_quadratic,
    }
)


def _line(start: float, end: float, count: int) -> Tensor:
    return torch.linspace(start, end, count, dtype=torch.float64)
