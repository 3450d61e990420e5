"""Whole differences of weights, biases and norms (LyCORIS `full` and `norm`), and whole weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import (
    Adapter,
    Tensors,
    all_zero,
    dims,
    rank_of,
    require,
    scaling,
    wide,
)
from engine.lora.families.sum import sum_of


@dataclass(frozen=True)
class Difference(Adapter):
    """delta = strength * scale * the stored difference."""

    difference: torch.Tensor
    scale: float = 1.0

    @property
    def is_additive(self) -> bool:
        return True

    def check(self, shape: torch.Size) -> None:
        _require_same(self.difference, shape)

    @property
    def is_zero(self) -> bool:
        return all_zero(self.difference)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        return wide(self.difference, base).reshape(base.shape) * (self.scale * strength)


@dataclass(frozen=True)
class Replacement(Adapter):
    """W' = the stored weight, whatever the strength (`set_weight`)."""

    weight: torch.Tensor

    def check(self, shape: torch.Size) -> None:
        _require_same(self.weight, shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        return wide(self.weight, base).reshape(base.shape) - base


def _require_same(stored: torch.Tensor, shape: torch.Size) -> None:
    require(_significant(stored.shape) == _significant(shape), dims(stored.shape), shape)


def _significant(shape: torch.Size) -> list[int]:
    """A shape without ones: a linear layer's weight and that of a 1x1 convolution are the same."""
    return [side for side in shape if side != 1]


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build a weight's difference from `diff` and `w_norm`, its replacement from `set_weight`."""
    found: list[Adapter] = [Difference(tensors[n]) for n in ("diff", "w_norm") if n in tensors]
    if "set_weight" in tensors:
        found.append(Replacement(tensors["set_weight"]))
    return sum_of(found)


BIAS_ROLES = frozenset({"diff_b", "b_norm", "up_bias"})
"""Tensors that change nothing but a bias."""


def build_bias(tensors: Tensors) -> Adapter | None:
    """Build a bias's difference from `diff_b` or `b_norm`, which go with any family.

    `up_bias` is PEFT's bias of `lora_B`, which is scaled like the weight.
    """
    found: list[Adapter] = [Difference(tensors[n]) for n in ("diff_b", "b_norm") if n in tensors]
    if "up_bias" in tensors and "down" in tensors:
        scale = scaling(tensors, rank_of(tensors["down"]))
        found.append(Difference(tensors["up_bias"], scale))
    return sum_of(found)
