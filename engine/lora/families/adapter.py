"""What every adapter family offers: a delta for one base weight, computed in float32."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch

Tensors = Mapping[str, torch.Tensor]
"""The tensors of one adapted module by role (`up`, `down`, `alpha`, `hada_w1_a`, ...)."""


class ShapeMismatchError(ValueError):
    """An adapter is made for a weight of another shape; the text says which."""


class Adapter(ABC):
    """What one LoRA file does to one weight (or bias) of the model."""

    @abstractmethod
    def check(self, shape: torch.Size) -> None:
        """Raise `ShapeMismatchError` unless the adapter fits a weight of `shape`.

        Looks at shapes only, so tensors may live on the meta device.
        """

    @abstractmethod
    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        """The change at `strength` as float32 in the base weight's shape, on its device.

        `base` is the weight of the base model in float32, which no other LoRA has touched.
        """


Build = Callable[[Tensors, torch.Size], Adapter | None]
"""Make a family's adapter of a module's tensors for a weight's shape, or None when not its own."""


def scaling(tensors: Tensors, rank: int) -> float:
    """alpha / rank, or 1 where the file has no alpha; a `scale` tensor replaces both."""
    if "scale" in tensors:
        return _number(tensors["scale"])
    if "alpha" in tensors:
        return _number(tensors["alpha"]) / rank
    return 1.0


def _number(tensor: torch.Tensor) -> float:
    # A header alone (meta tensors) has no values; shapes can be checked without them.
    return 1.0 if tensor.is_meta else float(tensor.flatten()[0])


def require(fits: bool, what: str, shape: torch.Size) -> None:
    """Raise `ShapeMismatchError` naming both shapes unless `fits`."""
    if not fits:
        raise ShapeMismatchError(f"made for {what}, the model has {'x'.join(map(str, shape))}")


def wide(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The tensor in float32 (float64 where `like` is) on the device of `like`."""
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    return tensor.to(device=like.device, dtype=dtype)
