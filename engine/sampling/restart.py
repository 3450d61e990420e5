"""Restart: Heun's method that goes back up to a larger sigma and comes down again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.sampling.euler import heun_step
from engine.sampling.schedules import karras
from engine.sampling.tools import Tools

_LOW, _HIGH = 0.1, 2.0
"""Where it goes up from, and where to."""


def restart(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """Restart sampling with A1111's numbers (Xu et al., arXiv:2306.14878).

    From 20 steps on, the sigmas are taken anew between the ends, so that the steps of the way back
    are among those asked for.
    """
    last = math.inf
    for i, (sigma, following) in enumerate(_way(sigmas)):
        if sigma > last:
            x = x + (sigma**2 - last**2) ** 0.5 * tools.noise(last, sigma)
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        x = heun_step(x, denoised, sigma, following, tools)
        last = following
    return x


def _way(sigmas: Sequence[float]) -> list[tuple[float, float]]:
    steps = len(sigmas) - 1
    if steps < 20 or sigmas[-1] != 0:
        return list(itertools.pairwise(sigmas))
    again, times = (steps // 4, 2) if steps >= 36 else (9, 1)
    once = [*_karras(steps - again * times, sigmas[-2], sigmas[0]), 0.0]
    low, high = (_nearest(once, level) for level in (_LOW, _HIGH))
    way = list(itertools.pairwise(once))
    if high >= low or low == 0:
        return way
    # Its ends are taken as they are: a rounding above the last sigma would ask for noise.
    inner = _karras(again + 1, once[low], once[high])[1:-1]
    back = list(itertools.pairwise([once[high], *inner, once[low]]))
    return way[:low] + back * times + way[low:]


def _karras(steps: int, low: float, high: float) -> list[float]:
    levels: list[float] = karras(steps, torch.tensor([low, high], dtype=torch.float64)).tolist()
    return levels


def _nearest(sigmas: Sequence[float], level: float) -> int:
    return min(range(len(sigmas)), key=lambda place: abs(sigmas[place] - level))
