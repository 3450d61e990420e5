"""Noise for SDE samplers: increments of a Brownian motion over sigma, from torchsde's tree.

The same seed gives the same motion whatever the steps, so that more steps refine the same picture.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torchsde
from torch import Tensor
from torchsde._brownian import brownian_interval

from engine.sampling.philox import cuda_normal
from engine.sampling.tools import NoiseBetween


def brownian_noise(
    seeds: Sequence[int],
    shape: Sequence[int],
    levels: Tensor,
    philox: bool = False,
    whole_batch: bool = False,
) -> NoiseBetween:
    """Unit noise between any two sigmas, float32 on the CPU, [seeds, *shape].

    One tree a seed spans the smallest and the largest of the sigmas, as in k-diffusion. `philox`
    draws the tree's normal numbers as CUDA does; `whole_batch` takes `shape` for the batch's, from
    the one seed.
    """
    low, high = (level.detach().cpu().to(torch.float32) for level in (levels.min(), levels.max()))
    if low == high:
        # One step to zero asks for no noise, and a motion over nothing cannot be built.
        return lambda sigma, following: torch.zeros(len(seeds), *shape)
    with _normals(philox):
        trees = [torchsde.BrownianTree(low, torch.zeros(*shape), high, entropy=s) for s in seeds]

    # The tree keeps its ends to six places, and warns of what lies a rounding beyond them.
    first, last = round(float(low), 6), round(float(high), 6)

    def between(sigma: float, following: float) -> Tensor:
        ends = torch.tensor(sorted((sigma, following)), dtype=torch.float32)
        within = [min(max(float(end), first), last) for end in ends]
        with _normals(philox):
            grown = torch.stack([tree(*within) for tree in trees])
        # Sampling goes down in sigma, against the motion's time.
        sign = -1 if sigma > following else 1
        noise: Tensor = sign * grown / (ends[1] - ends[0]).sqrt()
        return noise[0] if whole_batch else noise

    return between


@contextlib.contextmanager
def _normals(philox: bool) -> Iterator[None]:
    """torchsde's source of normal numbers, which it has no option for, exchanged for a while."""
    original = brownian_interval._randn
    if philox:
        brownian_interval._randn = _philox_randn
    try:
        yield
    finally:
        brownian_interval._randn = original


def _philox_randn(size: Sequence[int], dtype: Any, device: Any, seed: int) -> Tensor:
    return cuda_normal(int(seed), 0, size).to(device, dtype)
