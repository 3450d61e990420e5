"""Samplers of models distilled to jump to the picture: LCM and TCD."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engine.sampling.tools import Tools, steps_of
from engine.sampling.training import sdxl_sigmas

_GAMMA = 0.3
"""How far of the way TCD adds the noise anew; its authors advise it."""


def lcm(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """To the picture and back with fresh noise (Luo et al., arXiv:2310.04378, algorithm 3)."""
    for i, (sigma, following) in steps_of(sigmas):
        x = tools.denoise(x, sigma)
        tools.report(i, x, sigma, x)
        if following > 0:
            x = x + following * tools.noise(sigma, following)
    return x


def tcd(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """Below the next sigma and back up (Zheng et al., arXiv:2402.19159, strategic sampling)."""
    for i, (sigma, following) in steps_of(sigmas):
        denoised = tools.denoise(x, sigma)
        tools.report(i, x, sigma, denoised)
        if following == 0:
            x = denoised
            continue
        down = min(_below(following), following)
        x = denoised + (down / sigma) * (x - denoised)
        x = x + (following**2 - down**2) ** 0.5 * tools.noise(sigma, following)
    return x


def _below(sigma: float) -> float:
    """The sigma at the timestep that many parts below this one's."""
    trained = sdxl_sigmas()
    timestep = int((trained.log() - torch.tensor(sigma, dtype=torch.float64).log()).abs().argmin())
    return float(trained[int((1 - _GAMMA) * timestep)])
