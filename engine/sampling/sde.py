"""Samplers whose noise comes from a Brownian motion over sigma: the SDE side of DPM-Solver++."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.sampling.dpmpp import towards
from engine.sampling.euler import ancestral_step
from engine.sampling.tools import Tools, steps_of


def dpmpp_sde(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """DPM-Solver++ as an SDE, two calls a step (arXiv:2211.01095, sec. 5; k-diffusion)."""
    for i, (sigma, following) in steps_of(sigmas):
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        if following == 0:
            x = denoised
            continue
        asked, middle, asked_following = _float32_middle(sigma, following)
        down, up = ancestral_step(sigma, middle)
        halfway = towards(x, denoised, down / sigma) + up * tools.noise(asked, middle)
        denoised = tools.denoise(halfway, middle)
        down, up = ancestral_step(sigma, following)
        x = towards(x, denoised, down / sigma) + up * tools.noise(asked, asked_following)
    return x


def dpmpp_2m_sde(x: Tensor, sigmas: Sequence[float], tools: Tools, heun: bool = False) -> Tensor:
    """DPM-Solver++(2M) as an SDE, with the midpoint rule (arXiv:2211.01095, sec. 5)."""
    before: Tensor | None = None
    for i, (sigma, following) in steps_of(sigmas):
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        if following == 0:
            x = denoised
            continue
        length = math.log(sigma / following)
        kept = -math.expm1(-2 * length)
        moved = towards(x, denoised, 1 - kept)
        if before is not None:
            ratio = math.log(sigmas[i - 1] / sigma) / length
            weight = _phi_2(2 * length) if heun else kept / 2
            moved = moved + (weight / ratio) * (denoised - before)
        x = moved + (following * kept**0.5) * tools.noise(sigma, following)
        before = denoised
    return x


dpmpp_2m_sde_heun = functools.partial(dpmpp_2m_sde, heun=True)
"""DPM-Solver++(2M) as an SDE, with Heun's rule (arXiv:2211.01095, sec. 5)."""


def dpmpp_3m_sde(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """DPM-Solver++(3M) as an SDE, three steps' pictures at each (arXiv:2211.01095; k-diffusion)."""
    earlier: list[Tensor] = []
    for i, (sigma, following) in steps_of(sigmas):
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        if following == 0:
            x = denoised
            continue
        length = math.log(sigma / following)
        kept = -math.expm1(-2 * length)
        moved = towards(x, denoised, 1 - kept)
        phi_2 = _phi_2(2 * length)
        if earlier:
            last = math.log(sigmas[i - 1] / sigma) / length
            slope = (denoised - earlier[0]) / last
            if len(earlier) == 2:
                older = math.log(sigmas[i - 2] / sigmas[i - 1]) / length
                bend = (slope - (earlier[0] - earlier[1]) / older) / (last + older)
                slope = slope + last * bend
                moved = moved - (phi_2 / (2 * length) - 0.5) * bend
            moved = moved + phi_2 * slope
        x = moved + (following * kept**0.5) * tools.noise(sigma, following)
        earlier = [denoised, *earlier[:1]]
    return x


def er_sde(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """The extended reverse-time SDE's solver of third order (Cui et al., arXiv:2309.06169)."""
    earlier: list[Tensor] = []
    slopes: list[Tensor] = []
    for i, (sigma, following) in steps_of(sigmas):
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        if following == 0:
            x = denoised
            continue
        share = _er_noise(following) / _er_noise(sigma)
        moved = towards(x, denoised, share)
        if earlier:
            first, second = _er_integrals(sigma, following)
            step = following - sigma
            slope = (denoised - earlier[-1]) / (sigma - sigmas[i - 1])
            moved = moved + (step + first * _er_noise(following)) * slope
            if slopes:
                bend = (slope - slopes[-1]) / ((sigma - sigmas[i - 2]) / 2)
                moved = moved + (step**2 / 2 + second * _er_noise(following)) * bend
            slopes = [slope]
        earlier = [denoised]
        up = max(0.0, following**2 - (sigma * share) ** 2) ** 0.5
        x = moved + up * tools.noise(sigma, following)
    return x


_ER_POINTS = 200
"""Where ComfyUI takes the integrals' sums; more would give another picture."""


def _er_noise(sigma: float) -> float:
    """The paper's fifth noise scale, its best."""
    return sigma * (math.exp(sigma**0.3) + 10)


def _er_integrals(sigma: float, following: float) -> tuple[float, float]:
    width = (sigma - following) / _ER_POINTS
    places = [following + point * width for point in range(_ER_POINTS)]
    first = sum(1 / _er_noise(place) for place in places)
    second = sum((place - sigma) / _er_noise(place) for place in places)
    return first * width, second * width


def _phi_2(length: float) -> float:
    return math.expm1(-length) / length + 1


def _float32_middle(sigma: float, following: float) -> tuple[float, float, float]:
    """Both sigmas and their middle as k-diffusion asks its tree for them.

    It goes to log sigma and back in float32, and a Brownian motion shows even that difference.
    """
    start, end = (-torch.tensor(level, dtype=torch.float32).log() for level in (sigma, following))
    middle = start + (end - start) * 0.5
    return float((-start).exp()), float((-middle).exp()), float((-end).exp())
