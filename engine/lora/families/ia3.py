"""IA3: a factor for each input or output channel (arXiv:2205.05638; LyCORIS and PEFT)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import Adapter, Tensors, number, require, wide


@dataclass(frozen=True)
class IA3(Adapter):
    """delta = strength * W * (factors - neutral), one for each input or each output channel.

    `by_input` is None while only the header is known. Factors of `neutral` change nothing: 0 in
    LyCORIS' files, 1 in PEFT's.
    """

    factors: torch.Tensor
    by_input: bool | None
    neutral: float = 0.0

    def check(self, shape: torch.Size) -> None:
        count = self.factors.numel()
        if len(shape) < 2:
            fits = False
        elif self.by_input is None:
            fits = count in shape[:2]
        else:
            fits = count == shape[1 if self.by_input else 0]
        require(fits, f"{count} channels", shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        shape = [1] * base.dim()
        shape[1 if self.by_input else 0] = -1
        return base * ((wide(self.factors, base).reshape(shape) - self.neutral) * strength)


@dataclass(frozen=True)
class BiasIA3(Adapter):
    """delta = strength * bias * (factors - 1): PEFT's factors of output channels."""

    factors: torch.Tensor

    def check(self, shape: torch.Size) -> None:
        require(self.factors.numel() == shape.numel(), f"{self.factors.numel()} channels", shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        return base * ((wide(self.factors, base).reshape(base.shape) - 1) * strength)


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from LyCORIS' `weight` (the factors) and `on_input` (0 or 1), or PEFT's `ia3_l`."""
    if "ia3_l" in tensors:
        factors = tensors["ia3_l"]
        return IA3(factors, _by_input(tensors, factors, shape), neutral=1.0)
    if "weight" not in tensors or "on_input" not in tensors:
        return None
    flag = tensors["on_input"]
    return IA3(tensors["weight"], None if flag.is_meta else number(flag) != 0)


def build_bias(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build the change of a bias: output channels that are scaled have theirs scaled too."""
    if "ia3_l" not in tensors or _by_input(tensors, tensors["ia3_l"], shape):
        return None
    return BiasIA3(tensors["ia3_l"])


def _by_input(tensors: Tensors, factors: torch.Tensor, shape: torch.Size) -> bool:
    """Which channels PEFT's factors are for, in a weight of `shape`.

    The shape tells for linear layers, [out, 1] or [1, in]; a convolution's factors lie in
    [1, channels, 1, 1] either way, where only the configuration tells (`feedforward`).
    """
    if factors.dim() == 2 and 1 in factors.shape:
        return factors.shape[0] == 1
    if "feedforward" in tensors:
        return number(tensors["feedforward"]) != 0
    return factors.numel() not in shape[:1]
