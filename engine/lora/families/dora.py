"""DoRA: a new length for each row (or column) of the changed weight (arXiv:2402.09353)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import Adapter, Tensors, require, wide


@dataclass(frozen=True)
class DoRA(Adapter):
    """W' = magnitude * V / norm(V) with V = W + the inner adapter's delta at full strength.

    The delta is strength * (W' - W), so strength 0 is the base model exactly. `magnitude` is
    [out, 1, ...] (norms of rows, also when one-dimensional) or [1, in, 1, ...] (of columns).
    """

    inner: Adapter
    magnitude: torch.Tensor
    by_row: bool

    def check(self, shape: torch.Size) -> None:
        self.inner.check(shape)
        require(len(shape) > 1, "rows and columns", shape)
        wanted = shape[0] if self.by_row else shape[1]
        count = self.magnitude.numel()
        require(count == wanted, f"{count} {'rows' if self.by_row else 'columns'}", shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        changed = base + self.inner.delta(base, 1.0)
        axis = 0 if self.by_row else 1
        others = [d for d in range(base.dim()) if d != axis]
        norm = changed.pow(2).sum(dim=others, keepdim=True).sqrt()
        eps = torch.finfo(base.dtype).eps
        magnitude = wide(self.magnitude, base).reshape(norm.shape)
        return (changed * (magnitude / (norm + eps)) - base) * strength


@dataclass(frozen=True)
class RowFactors(Adapter):
    """W' = factors * V for each row, V = W + the inner adapter's delta at full strength.

    OneTrainer's DoRA of rotations: they leave the rows of W their lengths, so `lengths` of before
    the training are kept in the file (or the factors are relative, and `lengths` is None).
    """

    inner: Adapter
    factors: torch.Tensor
    lengths: torch.Tensor | None

    def check(self, shape: torch.Size) -> None:
        self.inner.check(shape)
        for rows in (self.factors, self.lengths):
            if rows is not None:
                require(rows.numel() == shape[0] and len(shape) > 1, f"{rows.numel()} rows", shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        rows = (-1, *[1] * (base.dim() - 1))
        factors = wide(self.factors, base).reshape(rows)
        if self.lengths is not None:
            eps = torch.finfo(base.dtype).eps
            factors = factors / (wide(self.lengths, base).reshape(rows) + eps)
        return ((base + self.inner.delta(base, 1.0)) * factors - base) * strength


def with_magnitude(tensors: Tensors, inner: Adapter, shape: torch.Size) -> Adapter:
    """Put DoRA around an adapter where the file has `magnitude` or `dora_scale`.

    With `initial_norm`, or as `dora_multiplier`, these are factors of rows.
    """
    if "dora_multiplier" in tensors:
        return RowFactors(inner, tensors["dora_multiplier"], None)
    if "dora_scale" in tensors and "initial_norm" in tensors:
        return RowFactors(inner, tensors["dora_scale"], tensors["initial_norm"])
    if "magnitude" in tensors:
        # PEFT's vector is one length a row, whatever its shape looks like; a table of tokens lies
        # crosswise in its eyes.
        return DoRA(inner, tensors["magnitude"], by_row="embedding_A" not in tensors)
    if "dora_scale" in tensors:
        return DoRA(inner, tensors["dora_scale"], _by_row(tensors["dora_scale"], shape))
    return inner


def _by_row(magnitude: torch.Tensor, shape: torch.Size) -> bool:
    """Whether LyCORIS' and kohya's `dora_scale` holds norms of rows, told by its whole shape."""
    if magnitude.dim() <= 1 or len(shape) < 2:
        return True
    return not (magnitude.shape[0] == 1 and magnitude.shape[1] == shape[1] and shape[1] > 1)
