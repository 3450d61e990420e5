"""UniPC: each model call corrects the last step as well as it predicts the next."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from engine.sampling.dpmpp import towards
from engine.sampling.tools import Tools

_ORDER = 3


def unipc(x: Tensor, sigmas: Sequence[float], tools: Tools, exponential: bool = False) -> Tensor:
    """UniPC of third order with B(h) = h (Zhao et al., arXiv:2302.04867; A1111's variant bh1)."""
    steps = len(sigmas) - 1
    known: list[Tensor] = []
    last = x
    for i in range(steps):
        denoised = tools.denoise(x, sigmas[i])
        tools.report(i, x, sigmas[i], denoised)
        if i > 0:
            order = min(_ORDER, i, steps + 1 - i)
            x = _update(last, known, sigmas, i, order, exponential, denoised)
        known = [denoised, *known[: _ORDER - 1]]
        last = x
        order = min(_ORDER, i + 1, steps - i)
        x = _update(x, known, sigmas, i + 1, order, exponential, None)
    return x


unipc_bh2 = functools.partial(unipc, exponential=True)
"""UniPC of third order with B(h) = exp(h) - 1 (Zhao et al., arXiv:2302.04867)."""


def _update(
    x: Tensor,
    known: Sequence[Tensor],
    sigmas: Sequence[float],
    arrival: int,
    order: int,
    exponential: bool,
    there: Tensor | None,
) -> Tensor:
    """From the sigma before `arrival` to it, predicted or, with the picture there, corrected."""
    start, end = sigmas[arrival - 1], sigmas[arrival]
    moved = towards(x, known[0], end / start)
    if end == 0:
        return moved
    length = math.log(start / end)
    scale = math.expm1(-length) if exponential else -length
    ratios = [math.log(start / sigmas[arrival - 1 - back]) / length for back in range(1, order)]
    slopes = [(known[back] - known[0]) / ratio for back, ratio in enumerate(ratios, start=1)]
    if there is not None:
        ratios.append(1.0)
        slopes.append(there - known[0])
    for weight, slope in zip(_weights(ratios, length, scale), slopes, strict=True):
        moved = moved - (scale * weight) * slope
    return moved


def _weights(ratios: Sequence[float], length: float, scale: float) -> Sequence[float]:
    """What makes the step exact for polynomials of the picture in log sigma."""
    if len(ratios) <= 1:
        return [0.5] * len(ratios)
    targets, factorial, phi = [], 1, math.expm1(-length) / -length - 1
    for power in range(1, len(ratios) + 1):
        targets.append(phi * factorial / scale)
        factorial *= power + 1
        phi = phi / -length - 1 / factorial
    powers = np.array([[ratio**power for ratio in ratios] for power in range(len(ratios))])
    solved: list[float] = np.linalg.solve(powers, np.array(targets)).tolist()
    return solved
