"""LoKr: a Kronecker product of two matrices, each whole or in low rank (LyCORIS, KronA)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import (
    Adapter,
    ShapeMismatchError,
    Tensors,
    require,
    scaling,
    wide,
)


@dataclass(frozen=True)
class LoKr(Adapter):
    """delta = scale * kron(w1, w2), reshaped to the weight.

    Each factor is given whole, as (a, b) with factor = a @ b, or (w2 only) as (a, b, core t)
    with factor = einsum(t [r, r, kh, kw], a [r, out], b [r, in]).
    """

    first: tuple[torch.Tensor, ...]
    second: tuple[torch.Tensor, ...]
    scale: float

    def check(self, shape: torch.Size) -> None:
        left, right = _factor_shape(self.first), _factor_shape(self.second)
        rows = left[0] * right[0]
        columns = torch.Size(left[1:]).numel() * torch.Size(right[1:]).numel()
        fits = rows == shape[0] and columns == shape[1:].numel()
        require(fits, f"{rows}x{columns}", shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        left, right = _factor(self.first, base), _factor(self.second, base)
        if right.dim() == 4:
            left = left[:, :, None, None]
        product = torch.kron(left, right.contiguous())
        return product.reshape(base.shape) * (self.scale * strength)


def _factor_shape(parts: tuple[torch.Tensor, ...]) -> tuple[int, ...]:
    if len(parts) == 1:
        return tuple(parts[0].shape)
    if len(parts) == 3:
        a, b, core = parts
        return (a.shape[1], b.shape[1], *core.shape[2:])
    a, b = parts
    if a.shape[-1] != b.shape[0]:
        raise ShapeMismatchError(f"its own factors do not fit ({a.shape} and {b.shape})")
    return (a.shape[0], *b.shape[1:])


def _factor(parts: tuple[torch.Tensor, ...], base: torch.Tensor) -> torch.Tensor:
    if len(parts) == 1:
        return wide(parts[0], base)
    if len(parts) == 3:
        a, b, core = (wide(part, base) for part in parts)
        return torch.einsum("ijkl,ip,jr->prkl", core, a, b)
    a, b = (wide(part, base) for part in parts)
    return (a @ b.flatten(1)).reshape(a.shape[0], *b.shape[1:])


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from `lokr_*`. The rank is that of w2_b, else w1_b; two whole factors mean scale 1."""
    parts: list[tuple[torch.Tensor, ...]] = []
    for name in ("lokr_w1", "lokr_w2"):
        if name in tensors:
            parts.append((tensors[name],))
        elif f"{name}_a" in tensors and f"{name}_b" in tensors:
            core = tensors.get("lokr_t2") if name == "lokr_w2" else None
            pair = (tensors[f"{name}_a"], tensors[f"{name}_b"])
            parts.append(pair if core is None else (*pair, core))
        else:
            return None
    first, second = parts
    factored = second if len(second) > 1 else first
    scale = scaling(tensors, factored[1].shape[0]) if len(factored) > 1 else 1.0
    return LoKr(first, second, scale)
