"""DPM-Solver (Lu et al., arXiv:2206.00927), which works on the noise: DPM2, fast and adaptive."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.sampling.dpmpp import towards
from engine.sampling.euler import ancestral_step
from engine.sampling.tools import Tools, steps_of

_RELATIVE, _ABSOLUTE, _FIRST_STEP, _ACCEPTED = 0.05, 0.0078, 0.05, 0.81
"""k-diffusion's tolerances, first step in log sigma, and the growth from which a step counts."""


def dpm_2(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """DPM-Solver-2: the slope in the geometric middle (arXiv:2206.00927, algorithm 1)."""
    for i, (sigma, following) in steps_of(sigmas):
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        x = _by_the_middle(x, denoised, sigma, following, tools)
    return x


def dpm_2_ancestral(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """DPM-Solver-2 with fresh noise at each step (arXiv:2206.00927, algorithm 1)."""
    for i, (sigma, following) in steps_of(sigmas):
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        down, up = ancestral_step(sigma, following)
        x = _by_the_middle(x, denoised, sigma, down, tools)
        if following > 0:
            x = x + up * tools.noise(sigma, following)
    return x


def dpm_fast(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """DPM-Solver-fast: third order, as many calls as steps (arXiv:2206.00927, app. D; A1111's eta).

    Only the ends of the sigmas count. It stops at the smallest that is not zero.
    """
    start, end = _ends(sigmas)
    calls = len(sigmas) - 1
    if start == end:
        return _at_once(x, start, tools)
    count = calls // 3 + 1
    orders = [3] * (count - 1) + [calls % 3] if calls % 3 else [3] * (count - 2) + [2, 1]
    places = torch.linspace(math.log(start), math.log(end), count + 1, dtype=torch.float64).exp()
    levels = [start, *places[1:-1].tolist(), end]
    for i, (sigma, following) in steps_of(levels):
        down, up = _ancestral_above(end, sigma, following)
        eps = _eps(x, sigma, tools)
        tools.report(i, x, sigma, x - sigma * eps)
        moved = _solver_step(orders[i], x, eps, sigma, down, _asker(sigma, tools))
        x = moved + up * tools.noise(sigma, following)
    return x


def dpm_adaptive(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """DPM-Solver-23 with steps as long as the error allows (arXiv:2206.00927, app. C; A1111's eta).

    Only the ends of the sigmas count. It stops at the smallest that is not zero; the error is that
    of the whole batch.
    """
    start, end = _ends(sigmas)
    if start == end:
        return _at_once(x, start, tools)
    length, previous, sigma, i = _FIRST_STEP, x, start, 0
    while math.log(sigma / end) > 1e-5:
        following = max(end, sigma * math.exp(-length))
        down, up = _ancestral_above(end, sigma, following)
        eps = _eps(x, sigma, tools)
        tools.report(i, x, sigma, x - sigma * eps)
        ask = _asker(sigma, tools)
        first = ask(x, eps, down, 1 / 3)
        low = _second_order(x, eps, first, sigma, down, 1 / 3)
        high = _third_order(x, eps, first, sigma, down, ask)
        allowed = (_RELATIVE * torch.maximum(low.abs(), previous.abs())).clamp(min=_ABSOLUTE)
        error = float(torch.linalg.norm((low - high) / allowed)) / x.numel() ** 0.5
        growth = 1 + math.atan((1 / (error + 1e-8)) ** (1 / 1.5) - 1)
        if growth >= _ACCEPTED:
            previous, x = low, high + up * tools.noise(sigma, following)
            sigma = following
        length *= growth
        i += 1
    return x


_Ask = Callable[[Tensor, Tensor, float, float], Tensor]


def _eps(x: Tensor, sigma: float, tools: Tools) -> Tensor:
    return (x - tools.denoise(x, sigma)) / sigma


def _asker(sigma: float, tools: Tools) -> _Ask:
    """The noise that the model sees a part of the way to `down`, along the slope `eps`."""

    def ask(x: Tensor, eps: Tensor, down: float, part: float) -> Tensor:
        level = sigma ** (1 - part) * down**part
        return _eps(x + (level - sigma) * eps, level, tools)

    return ask


def _solver_step(
    order: int, x: Tensor, eps: Tensor, sigma: float, down: float, ask: _Ask
) -> Tensor:
    if order == 1:
        return x + (down - sigma) * eps
    if order == 2:
        return _second_order(x, eps, ask(x, eps, down, 1 / 2), sigma, down, 1 / 2)
    return _third_order(x, eps, ask(x, eps, down, 1 / 3), sigma, down, ask)


def _second_order(
    x: Tensor, eps: Tensor, further: Tensor, sigma: float, down: float, part: float
) -> Tensor:
    return x + (down - sigma) * (eps + (further - eps) / (2 * part))


def _third_order(
    x: Tensor, eps: Tensor, first: Tensor, sigma: float, down: float, ask: _Ask
) -> Tensor:
    """`first` is the noise a third of the way; the other call is at two thirds."""
    length = math.log(sigma / down)
    part = 2 * length / 3
    # Two thirds of the way, with the slope bent as the first third has shown.
    level = sigma * math.exp(-part)
    bend = level * 2 * (math.expm1(part) / part - 1)
    middle = eps + (first - eps) * (bend / (sigma - level))
    second = ask(x, middle, down, 2 / 3)
    bend = down * 1.5 * (math.expm1(length) / length - 1)
    return x + (down - sigma) * eps - bend * (second - eps)


def _by_the_middle(x: Tensor, denoised: Tensor, sigma: float, down: float, tools: Tools) -> Tensor:
    if down == 0:
        return denoised
    middle = (sigma * down) ** 0.5
    halfway = towards(x, denoised, middle / sigma)
    return x + (down - sigma) * _eps(halfway, middle, tools)


def _ancestral_above(end: float, sigma: float, following: float) -> tuple[float, float]:
    """An ancestral step that does not go below the end; what is missing is taken off the noise."""
    down = max(end, ancestral_step(sigma, following)[0])
    return down, max(0.0, following**2 - down**2) ** 0.5


def _ends(sigmas: Sequence[float]) -> tuple[float, float]:
    return sigmas[0], min(sigma for sigma in sigmas if sigma > 0)


def _at_once(x: Tensor, sigma: float, tools: Tools) -> Tensor:
    denoised = tools.denoise(x, sigma)
    tools.report(0, x, sigma, denoised)
    return denoised
