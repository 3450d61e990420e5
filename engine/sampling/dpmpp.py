"""DPM-Solver++ without noise trees: 2M and 2S ancestral (Lu et al., arXiv:2211.01095)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from engine.sampling.euler import ancestral_step
from engine.sampling.tools import Tools, steps_of


def dpmpp_2m(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """DPM-Solver++(2M), two steps' denoised pictures at each (arXiv:2211.01095, algorithm 2)."""
    before: Tensor | None = None
    for i, (sigma, following) in steps_of(sigmas):
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        target = denoised
        if before is not None and following > 0:
            ratio = math.log(sigmas[i - 1] / sigma) / math.log(sigma / following)
            target = denoised + (denoised - before) / (2 * ratio)
        x = towards(x, target, following / sigma)
        before = denoised
    return x


def dpmpp_2s_ancestral(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """DPM-Solver++(2S) with fresh noise at each step (arXiv:2211.01095, algorithm 1)."""
    for i, (sigma, following) in steps_of(sigmas):
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        down, up = ancestral_step(sigma, following)
        if down > 0:
            middle = (sigma * down) ** 0.5
            denoised = tools.denoise(towards(x, denoised, middle / sigma), middle)
        x = towards(x, denoised, down / sigma)
        if following > 0:
            x = x + up * tools.noise(sigma, following)
    return x


def towards(x: Tensor, target: Tensor, share: float) -> Tensor:
    """The exact solution for a model that would always answer `target`."""
    return target if share == 0 else share * x + (1 - share) * target
