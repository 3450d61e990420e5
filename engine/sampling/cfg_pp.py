"""CFG++: the picture is the guided one, the noise the unconditional one (arXiv:2406.08070)."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from torch import Tensor

from engine.sampling.dpmpp import towards
from engine.sampling.euler import ancestral_step
from engine.sampling.tools import Tools, steps_of

GUIDANCE_PARTS: Mapping[str, float] = MappingProxyType({"DDIM CFG++": 12.5})
"""What A1111 divides the guidance scale by, for those used to scales of plain guidance."""


def euler_cfg_pp(x: Tensor, sigmas: Sequence[float], tools: Tools, eta: float = 0.0) -> Tensor:
    """Euler's method with CFG++, which is its DDIM (Chung et al., arXiv:2406.08070)."""
    for i, (sigma, following) in steps_of(sigmas):
        guided, unconditional = tools.pair(x, sigma)
        tools.report(i, x, sigma, guided)
        down, up = ancestral_step(sigma, following, eta)
        x = guided + (down / sigma) * (x - unconditional)
        if following > 0 and eta > 0:
            x = x + up * tools.noise(sigma, following)
    return x


euler_ancestral_cfg_pp = functools.partial(euler_cfg_pp, eta=1.0)
"""Euler's method with CFG++ and fresh noise at each step (Chung et al., arXiv:2406.08070)."""


def dpmpp_2m_cfg_pp(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """DPM-Solver++(2M) with CFG++ (Chung et al., arXiv:2406.08070; as in ComfyUI)."""
    before: Tensor | None = None
    for i, (sigma, following) in steps_of(sigmas):
        guided, unconditional = tools.pair(x, sigma)
        tools.report(i, x, sigma, guided)
        share = following / sigma
        moved = guided + share * (x - unconditional)
        if before is not None and following > 0:
            ratio = math.log(sigmas[i - 1] / sigma) / math.log(sigma / following)
            moved = moved + ((1 - share) / (2 * ratio)) * (guided - before)
        x, before = moved, unconditional
    return x


def dpmpp_2s_ancestral_cfg_pp(x: Tensor, sigmas: Sequence[float], tools: Tools) -> Tensor:
    """DPM-Solver++(2S) ancestral with CFG++ (arXiv:2406.08070; as in ComfyUI)."""
    for i, (sigma, following) in steps_of(sigmas):
        guided, unconditional = tools.pair(x, sigma)
        tools.report(i, x, sigma, guided)
        guidance = guided - unconditional
        down, up = ancestral_step(sigma, following)
        if down > 0:
            middle = (sigma * down) ** 0.5
            _, unconditional = tools.pair(towards(x, unconditional, middle / sigma), middle)
        x = towards(x, unconditional, down / sigma)
        if following > 0:
            x = x + up * tools.noise(sigma, following)
        x = x + guidance
    return x
