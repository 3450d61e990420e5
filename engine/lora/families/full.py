"""Whole differences of weights, biases and norms (LyCORIS `full` and `norm`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import Adapter, Tensors, require, wide


@dataclass(frozen=True)
class Difference(Adapter):
    """delta = strength * the stored difference."""

    difference: torch.Tensor

    def check(self, shape: torch.Size) -> None:
        stored = self.difference.shape
        require(stored.numel() == shape.numel(), "x".join(map(str, stored)), shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        return wide(self.difference, base).reshape(base.shape) * strength


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build a weight's difference from `diff` or `w_norm`."""
    for name in ("diff", "w_norm"):
        if name in tensors:
            return Difference(tensors[name])
    return None


def build_bias(tensors: Tensors) -> Adapter | None:
    """Build a bias's difference from `diff_b` or `b_norm`, which go with any family."""
    for name in ("diff_b", "b_norm"):
        if name in tensors:
            return Difference(tensors[name])
    return None
