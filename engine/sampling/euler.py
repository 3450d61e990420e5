"""Euler's and Heun's methods over sigma, with and without noise of their own."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from engine.sampling.tools import Tools, steps_of


def ancestral_step(sigma: float, following: float, eta: float = 1.0) -> tuple[float, float]:
    """Where to step down to, and the noise to add, so that both together arrive at `following`."""
    up = min(following, eta * (following**2 * (sigma**2 - following**2) / sigma**2) ** 0.5)
    return (following**2 - up**2) ** 0.5, up


def euler(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """Euler's method (Karras et al., arXiv:2206.00364, algorithm 2 without churn)."""
    for i, (sigma, following) in steps_of(sigmas):
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        x = _move(x, denoised, following / sigma)
    return x


def euler_ancestral(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """Euler's method with fresh noise at each step (Song et al., arXiv:2011.13456, app. F)."""
    for i, (sigma, following) in steps_of(sigmas):
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        down, up = ancestral_step(sigma, following)
        x = _move(x, denoised, down / sigma)
        if following > 0:
            x = x + up * tools.noise(sigma, following)
    return x


def heun(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """Heun's method of second order (Karras et al., arXiv:2206.00364, algorithm 1)."""
    for i, (sigma, following) in steps_of(sigmas):
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        x = heun_step(x, denoised, sigma, following, tools)
    return x


def heun_step(x: Tensor, denoised: Tensor, sigma: float, following: float, tools: Tools) -> Tensor:
    """One step of Heun's method; the one to zero is Euler's."""
    ahead = _move(x, denoised, following / sigma)
    if following == 0:
        return ahead
    slope = (x - denoised) / sigma
    slope_ahead = (ahead - tools.denoise(ahead, following)) / following
    return x + (slope + slope_ahead) * ((following - sigma) / 2)


def heun_pp2(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """Heun's method with slopes weighed by sigma, up to two steps ahead (Heun++)."""
    for i, (sigma, following) in steps_of(sigmas):
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        ahead = _move(x, denoised, following / sigma)
        if following == sigmas[-1]:
            x = ahead
            continue
        slopes = [(x - denoised) / sigma, (ahead - tools.denoise(ahead, following)) / following]
        places = [following]
        after = sigmas[i + 2]
        if after != sigmas[-1]:
            further = ahead + slopes[1] * (after - following)
            slopes.append((further - tools.denoise(further, after)) / after)
            places.append(after)
        weights = [place / (len(slopes) * sigmas[0]) for place in places]
        weights.insert(0, 1 - sum(weights))
        total = sum((w * s for w, s in zip(weights[1:], slopes[1:], strict=True)),
                    weights[0] * slopes[0])  # fmt: skip
        x = x + total * (following - sigma)
    return x


def _move(x: Tensor, denoised: Tensor, share: float) -> Tensor:
    """Straight towards the denoised picture, until `share` of the noise is left."""
    return denoised if share == 0 else denoised + share * (x - denoised)
