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

    @property
    def is_additive(self) -> bool:
        """Whether the delta is the same for every base weight."""
        return False

    @property
    def is_zero(self) -> bool:
        """Whether its values are known to be zeros, so that it changes nothing."""
        return False

    @abstractmethod
    def check(self, shape: torch.Size) -> None:
        """Raise `ShapeMismatchError` unless the adapter fits a weight of `shape`.

        Looks at shapes, and at values only where they are not on the meta device.
        """

    @abstractmethod
    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        """The change at `strength` as float32 in the base weight's shape, on its device.

        `base` is the weight of the base model in float32, which no other LoRA has touched.
        A float64 base gives a float64 delta. The result may share no memory with `base`.
        """


Build = Callable[[Tensors, torch.Size], Adapter | None]
"""Make a family's adapter of a module's tensors for a weight's shape, or None when not its own.

It never raises: what does not fit is found by `check`. It reads the tensors that it uses and no
others, since those that nobody reads are told to the user.
"""


def scaling(tensors: Tensors, rank: int) -> float:
    """alpha / rank, or 1 where alpha is absent or 0 (as LyCORIS and sd-scripts read it).

    A `scale` tensor replaces both.
    """
    if "scale" in tensors:
        return number(tensors["scale"])
    alpha = number(tensors["alpha"]) if "alpha" in tensors else 0.0
    return alpha / rank if alpha and rank else 1.0


def number(tensor: torch.Tensor) -> float:
    """The single value of a tensor; 1 on the meta device, where only shapes are looked at."""
    return 1.0 if tensor.is_meta or not tensor.numel() else float(tensor.flatten()[0])


def rank_of(factor: torch.Tensor) -> int:
    """The rank of a factor laid out as [rank, ...]; 0 for a single number."""
    return factor.shape[0] if factor.dim() else 0


def crosswise(factor: torch.Tensor) -> torch.Tensor:
    """A matrix transposed; anything else as it is, for `check` to refuse."""
    return factor.T if factor.dim() == 2 else factor


def all_zero(tensor: torch.Tensor) -> bool:
    """Whether a tensor that was read is nothing but zeros."""
    if tensor.is_meta or (tensor.numel() and tensor.flatten()[0].item() != 0):
        # Of nearly all the first value tells: to look at more would take several times as long.
        return False
    return not tensor.any()


def flat(factor: torch.Tensor) -> torch.Tensor:
    """A convolution's factor [n, m, kh, kw] as a matrix [n, m * kh * kw]; matrices as they are."""
    return factor.flatten(1) if factor.dim() > 2 else factor


def require(fits: bool, what: str, shape: torch.Size) -> None:
    """Raise `ShapeMismatchError` naming both shapes unless `fits`."""
    if not fits:
        raise ShapeMismatchError(f"made for {what}, the model has {dims(shape)}")


def require_dims(wanted: int, *tensors: torch.Tensor) -> None:
    """Raise `ShapeMismatchError` unless every tensor has `wanted` dimensions."""
    for tensor in tensors:
        if tensor.dim() != wanted:
            raise ShapeMismatchError(
                f"damaged: a tensor of shape {dims(tensor.shape) or 'a single number'} stands "
                f"where one of {wanted} dimensions belongs"
            )


def dims(shape: torch.Size | tuple[int, ...]) -> str:
    """A shape in words: `640x2048`."""
    return "x".join(map(str, shape))


def wide(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The tensor in float32 (float64 where `like` is) on the device of `like`."""
    dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
    return tensor.to(device=like.device, dtype=dtype)
