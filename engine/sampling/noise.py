"""Where noise comes from: a seed's draws on the CPU, as CUDA makes them, or as ComfyUI does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


def cpu_draws(seeds: Sequence[int], shape: Sequence[int]) -> Iterator[Tensor]:
    """Draws of one CPU generator a seed, without end: float32, [seeds, *shape]."""
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    while True:
        yield torch.stack([torch.randn(*shape, generator=own) for own in generators])
