"""CUDA's generator of normal numbers, on the CPU: the same picture without the same card."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def cuda_normal(seed: int, call: int, shape: Sequence[int]) -> Tensor:
    """What the call (from 0) of `torch.randn(…, device="cuda")` gives after the seed: float32.

    Philox 4x32 with ten rounds (Salmon et al., SC 2011): the call and the place in the tensor are
    the counter, the seed's two halves the key; of Box and Muller's two numbers the sine's is taken.
    True of tensors small enough that each thread of a card fills one place. On the CPU.
    """
    count = math.prod(shape)
    counter = [np.zeros(count, np.uint64) for _ in range(4)]
    counter[0] += np.uint64(call)
    counter[2] += np.arange(count, dtype=np.uint64)
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(_ROUNDS):
        first, second = counter[0] * _MULTIPLIERS[0], counter[2] * _MULTIPLIERS[1]
        counter = [
            (second >> _HALF) ^ counter[1] ^ np.uint64(key[0]),
            second & _LOW,
            (first >> _HALF) ^ counter[3] ^ np.uint64(key[1]),
            first & _LOW,
        ]
        key = [(half + step) & 0xFFFFFFFF for half, step in zip(key, _KEY_STEPS, strict=True)]
    return torch.from_numpy(_normal(counter[0], counter[1])).reshape(tuple(shape))


def _normal(radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Box and Muller's sine, from 32-bit numbers moved to the middle of their places."""
    place = (radius.astype(np.float64) + 0.5) * 2.0**-32
    turn = (angle.astype(np.float64) + 0.5) * (2.0**-32 * 2 * np.pi)
    normal: np.ndarray = (np.sqrt(-2 * np.log(place)) * np.sin(turn)).astype(np.float32)
    return normal
