"""Samplers that remember: the slopes or denoised pictures of earlier steps, one call a step."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from engine.sampling.euler import ancestral_step
from engine.sampling.tools import Tools, steps_of

_ADAMS_BASHFORTH = ((1.0,), (1.5, -0.5), (23 / 12, -16 / 12, 5 / 12),
                    (55 / 24, -59 / 24, 37 / 24, -9 / 24))  # fmt: skip
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)

_Weights = Callable[[Sequence[float], int, int], Sequence[float]]
"""From the sigmas, the step and an order to the weight of each slope, the newest first."""


def lms(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """Linear multistep of fourth order over sigma, the last step too (k-diffusion)."""
    return _multistep(x, sigmas, tools, _lagrange_in_sigma, 4, denoise_last=False)


def ipndm(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """Adams and Bashforth's weights for even steps (PNDM, arXiv:2202.09778; arXiv:2204.13902)."""
    return _multistep(x, sigmas, tools, _even, 4)


def deis(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """DEIS, tAB of third order: polynomials in time (Zhang and Chen, arXiv:2204.13902)."""
    return _multistep(x, sigmas, tools, _lagrange_in_time, 3)


def plms(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """PNDM without Runge-Kutta: iPNDM, begun by Heun's method (Liu et al., arXiv:2202.09778)."""
    return _multistep(x, sigmas, tools, _even, 4, look_ahead=True, denoise_last=False)


def _multistep(
    x: Tensor,
    sigmas: Sequence[float],
    tools: Tools,
    weigh: _Weights,
    most: int,
    denoise_last: bool = True,
    look_ahead: bool = False,
) -> Tensor:
    slopes: list[Tensor] = []
    for i, (sigma, following) in steps_of(sigmas):
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        slopes = [(x - denoised) / sigma, *slopes[: most - 1]]
        if following == 0 and (denoise_last or i == 0):
            x = denoised
        elif look_ahead and i == 0:
            ahead = x + (following - sigma) * slopes[0]
            slope_ahead = (ahead - tools.denoise(ahead, following)) / following
            x = x + ((following - sigma) / 2) * (slopes[0] + slope_ahead)
        else:
            for weight, slope in zip(weigh(sigmas, i, len(slopes)), slopes, strict=True):
                x = x + weight * slope
    return x


def _even(sigmas: Sequence[float], i: int, order: int) -> Sequence[float]:
    step = sigmas[i + 1] - sigmas[i]
    return [step * weight for weight in _ADAMS_BASHFORTH[order - 1]]


def _lagrange_in_sigma(sigmas: Sequence[float], i: int, order: int) -> Sequence[float]:
    known = [sigmas[i - back] for back in range(order)]
    return _integrate(known, sigmas[i], sigmas[i + 1], lambda places: np.ones_like(places))


def _lagrange_in_time(sigmas: Sequence[float], i: int, order: int) -> Sequence[float]:
    """Time is that of a VP process whose sigma goes from 0.002 at 1e-3 to 80 at 1 (DEIS's own)."""
    low, high = math.log(0.002**2 + 1), math.log(80.0**2 + 1)
    slope = 2 * (low / 1e-3 - high) / (1e-3 - 1)
    offset = high - slope / 2

    def time(sigma: float) -> float:
        return (math.sqrt(offset**2 + 2 * slope * math.log(sigma**2 + 1)) - offset) / slope

    def growth(times: np.ndarray) -> np.ndarray:
        """How fast sigma grows with time."""
        exponent = slope * times**2 / 2 + offset * times
        rate = (slope * times + offset) * np.exp(exponent) / (2 * np.sqrt(np.expm1(exponent)))
        return np.asarray(rate)

    known = [time(sigmas[i - back]) for back in range(order)]
    return _integrate(known, time(sigmas[i]), time(sigmas[i + 1]), growth)


def _integrate(
    known: Sequence[float], start: float, end: float, weight: Callable[[np.ndarray], np.ndarray]
) -> Sequence[float]:
    """The integrals of Lagrange's polynomials through the known places (Gauss and Legendre)."""
    places = start + (end - start) * (_NODES + 1) / 2
    outer = weight(places) * _WEIGHTS * (end - start) / 2
    integrals = []
    for own in known:
        others = [other for other in known if other != own]
        polynomial = np.prod([(places - other) / (own - other) for other in others], axis=0)
        integrals.append(float(np.sum(outer * polynomial)))
    return integrals


def res_multistep(x: Tensor, sigmas: Sequence[float], tools: Tools, eta: float = 0.0) -> Tensor:
    """RES of second order, one call a step (Zhang et al., arXiv:2308.02157)."""
    before: Tensor | None = None
    arrived = sigmas[0]
    for i, (sigma, following) in steps_of(sigmas):
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        down, up = ancestral_step(sigma, following, eta)
        if down == 0:
            x = denoised
        elif before is None:
            x = denoised + (down / sigma) * (x - denoised)
        else:
            length = math.log(sigma / down)
            place = math.log(arrived / sigmas[i - 1]) / length
            whole = -math.expm1(-length)
            new = 0.0 if place == 0 else (whole / length - 1) / place
            # The weights of both pictures add up to what is taken off the noise.
            x = (down / sigma) * x + (whole + new) * denoised - new * before
        if following > 0 and eta > 0:
            x = x + up * tools.noise(sigma, following)
        before, arrived = denoised, down
    return x


res_multistep_ancestral = functools.partial(res_multistep, eta=1.0)
"""RES of second order with fresh noise at each step (Zhang et al., arXiv:2308.02157)."""
