"""The sparse rest that LyCORIS' extraction keeps beside a low-rank adapter."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import (
    Adapter,
    ShapeMismatchError,
    Tensors,
    dims,
    require,
    require_dims,
    wide,
)


@dataclass(frozen=True)
class WithResidual(Adapter):
    """delta = the inner adapter's + strength * a sparse matrix in coordinate form.

    `indices` [dimensions, n] and `values` [n] lie in a tensor of shape `size`, which is the weight
    with its kernel flattened. The file calls all three `bias_*`; they change the weight.
    """

    inner: Adapter
    indices: torch.Tensor
    values: torch.Tensor
    size: torch.Tensor

    def check(self, shape: torch.Size) -> None:
        self.inner.check(shape)
        require_dims(2, self.indices)
        require_dims(1, self.values, self.size)
        if self.indices.shape != (self.size.numel(), self.values.numel()):
            raise ShapeMismatchError(
                f"damaged: {self.values.numel()} sparse values with {dims(self.indices.shape)} "
                "indices"
            )
        if self.size.is_meta:
            return
        size = torch.Size(self.size.int().tolist())
        fits = min(size, default=0) > 0 and size.numel() == shape.numel() and size[0] == shape[0]
        require(fits, f"sparse values in {dims(size)}", shape)
        inside = (self.indices >= 0) & (self.indices < self.size[:, None])
        require(bool(inside.all()), f"sparse values outside {dims(size)}", shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        strides = [1]
        for side in reversed(self.size.int().tolist()[1:]):
            strides.insert(0, strides[0] * side)
        weights = torch.tensor(strides, device=self.indices.device)[:, None]
        places = (self.indices.long() * weights).sum(dim=0).to(base.device)
        total = self.inner.delta(base, strength).contiguous()
        total.view(-1).index_add_(0, places, wide(self.values, base) * strength)
        return total


def with_residual(tensors: Tensors, inner: Adapter) -> Adapter:
    """Add the residual of `bias_indices`, `bias_values` and `bias_size` where there is one."""
    names = ("bias_indices", "bias_values", "bias_size")
    if any(name not in tensors for name in names):
        return inner
    return WithResidual(inner, *(tensors[name] for name in names))
