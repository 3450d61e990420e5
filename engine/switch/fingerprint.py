"""Fingerprints of tensors: cheap on any device, and certain to notice a single flipped bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache

import torch

WIDTH = 1024
_SEED = 20_231


def fingerprint(tensor: torch.Tensor) -> int:
    """A 64-bit fingerprint of a tensor's bits, computed where the tensor lives.

    The bits are laid out as a table x of 64-bit words; the fingerprint is
    sum x[i, j] * (a[i] + b[j]) modulo 2**64 with random even a and odd b. Each word's factor is
    odd, so a change of any one word always shows; other changes are missed with a chance of about
    2**-63. Integer sums do not depend on the order in which a device adds.
    """
    return fingerprints([tensor])[0]


def fingerprints(tensors: Iterable[torch.Tensor]) -> list[int]:
    """The fingerprint of each tensor; a GPU is waited for once, after the last."""
    sums = [_fingerprint(tensor) for tensor in tensors]
    by_device: dict[torch.device, list[int]] = {}
    for place, total in enumerate(sums):
        by_device.setdefault(total.device, []).append(place)
    found: dict[int, int] = {}
    for places in by_device.values():
        values = torch.stack([sums[place] for place in places]).tolist()
        found |= zip(places, values, strict=True)
    return [found[place] for place in range(len(sums))]


def _fingerprint(tensor: torch.Tensor) -> torch.Tensor:
    raw = tensor.detach().contiguous().flatten().view(torch.uint8)
    body = raw.numel() // (8 * WIDTH) * (8 * WIDTH)
    total = torch.zeros((), dtype=torch.int64, device=raw.device)
    if body:
        total = _table_sum(raw[:body])
    if body < raw.numel():
        tail = torch.zeros(8 * WIDTH, dtype=torch.uint8, device=raw.device)
        tail[: raw.numel() - body] = raw[body:]
        total = total ^ _table_sum(tail)
    return total


def joined(marks: Iterable[tuple[str, torch.Tensor, int]]) -> str:
    """One digest for tensors by name, with their fingerprints; SHA-256 in hex.

    Types and shapes count, the order does not.
    """
    lines = sorted((name, str(t.dtype), list(t.shape), mark) for name, t, mark in marks)
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()


def _table_sum(raw: torch.Tensor) -> torch.Tensor:
    # 64-bit words must start on a multiple of eight bytes; tensors in mapped files need not.
    aligned = raw if raw.data_ptr() % 8 == 0 else raw.clone()
    words = aligned.view(torch.int64).reshape(-1, WIDTH)
    a, b = _factors(words.shape[0], raw.device)
    return (words.sum(dim=1) * a).sum() + (words.sum(dim=0) * b).sum()


@cache
def _factors(rows: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(_SEED)
    a = torch.randint(-(2**62), 2**62, (rows,), generator=generator) * 2
    b = torch.randint(-(2**62), 2**62, (WIDTH,), generator=generator) * 2 + 1
    return a.to(device), b.to(device)
