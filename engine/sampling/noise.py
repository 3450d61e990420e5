"""Where noise comes from: a seed's draws on the CPU, as CUDA makes them, or as ComfyUI does.

`CPU` is torch's generator of each seed. `GPU` is CUDA's, which most web UIs draw with, imitated on
the CPU. `ComfyUI` draws the initial noise of a batch from one CPU generator and the rest from
CUDA's of the same seed, and gives SDE samplers one Brownian tree for the batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from engine.errors import EngineError
from engine.sampling.brownian import brownian_noise
from engine.sampling.philox import cuda_normal
from engine.sampling.registry import BROWNIAN
from engine.sampling.tools import Noise

SOURCES = ("CPU", "GPU", "ComfyUI")
SEEDS = 2**64


_Draws: TypeAlias = Iterator[Tensor]


def initial_noise(
    source: str,
    seeds: Sequence[int],
    shape: Sequence[int],
    subseeds: Sequence[int] = (),
    strength: float = 0.0,
) -> Tensor:
    """The noise a batch starts from: float32 on the CPU, [seeds, *shape], deviation 1.

    `shape` is one picture's, [channels, height, width]. With a strength above 0 it is turned that
    part of the way (0 to 1) towards the noise of the subseeds, one for each seed, as in A1111.

    Raises `EngineError` for an unknown source, seeds that are not 64-bit, or missing subseeds.
    """
    noise = next(_draws(source, seeds, shape))
    if not strength:
        return noise
    if len(subseeds) != len(seeds):
        raise EngineError(f"There are {len(subseeds)} variation seeds for {len(seeds)} seeds.")
    others = next(_draws(source, subseeds, shape))
    pairs = zip(noise, others, strict=True)
    return torch.stack([slerp(strength, one, other) for one, other in pairs])


def later_noise(
    source: str, sampler: str, seeds: Sequence[int], shape: Sequence[int], sigmas: Tensor
) -> Noise:
    """What `sample` draws after the initial noise; for SDE samplers a Brownian motion.

    `shape` is one picture's; `sigmas` are those that the sampler visits.

    Raises `EngineError` as `initial_noise` does.
    """
    if sampler not in BROWNIAN:
        return itertools.islice(_draws(source, seeds, shape), 1, None)
    _check(source, seeds)
    levels = sigmas[sigmas > 0]
    if source == "ComfyUI":
        return brownian_noise(seeds[:1], (len(seeds), *shape), levels, whole_batch=True)
    return brownian_noise(seeds, shape, levels, philox=source == "GPU")


def slerp(strength: float, low: Tensor, high: Tensor) -> Tensor:
    """Between two noises along a great circle, column by column as A1111 does: [C, H, W]."""
    unit_low = low / low.norm(dim=1, keepdim=True)
    unit_high = high / high.norm(dim=1, keepdim=True)
    cosine = (unit_low * unit_high).sum(1, keepdim=True)
    if cosine.mean() > 0.9995:
        return low * strength + high * (1 - strength)
    angle = cosine.acos()
    start, end = ((part * angle).sin() / angle.sin() for part in (1 - strength, strength))
    turned: Tensor = start * low + end * high
    return turned


def _draws(source: str, seeds: Sequence[int], shape: Sequence[int]) -> _Draws:
    """A source's draws from the initial one on, without end."""
    _check(source, seeds)
    if source == "ComfyUI":
        whole = (len(seeds), *shape)
        return itertools.chain([next(_cpu(seeds[0], whole))], _cuda(seeds[0], whole))
    draw = _cuda if source == "GPU" else _cpu
    return map(torch.stack, zip(*(draw(seed, shape) for seed in seeds), strict=True))


def _cpu(seed: int, shape: Sequence[int]) -> _Draws:
    generator = torch.Generator("cpu").manual_seed(seed)
    while True:
        yield torch.randn(tuple(shape), generator=generator)


def _cuda(seed: int, shape: Sequence[int]) -> _Draws:
    return (cuda_normal(seed, call, shape) for call in itertools.count())


def _check(source: str, seeds: Sequence[int]) -> None:
    if source not in SOURCES:
        raise EngineError(f"There is no noise “{source}”. Choose one of {', '.join(SOURCES)}.")
    for seed in seeds:
        if not 0 <= seed < SEEDS:
            raise EngineError(f"A seed is a whole number from 0 to {SEEDS - 1}, not {seed}.")
