"""LoKr: a Kronecker product of two matrices, each whole or in low rank (LyCORIS, KronA)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import (
    Adapter,
    ShapeMismatchError,
    Tensors,
    all_zero,
    dims,
    number,
    rank_of,
    require,
    require_dims,
    scaling,
    wide,
)


@dataclass(frozen=True)
class LoKr(Adapter):
    """delta = scale * kron(w1, w2), reshaped to the weight.

    Each factor is given whole (w2 perhaps with a kernel), as (a, b) with factor = a @ b, or (w2
    only) as (a, b, core t) with factor = einsum(t [r, r, kh, kw], a [r, out], b [r, in]).
    """

    first: tuple[torch.Tensor, ...]
    second: tuple[torch.Tensor, ...]
    scale: float

    @property
    def is_additive(self) -> bool:
        return True

    def check(self, shape: torch.Size) -> None:
        left, right = _factor_shape(self.first), _factor_shape(self.second)
        if len(left) != 2 or len(right) not in (2, 4):
            raise ShapeMismatchError(f"damaged: its factors are {dims(left)} and {dims(right)}")
        rows, columns = left[0] * right[0], left[1] * torch.Size(right[1:]).numel()
        fits = rows == shape[0] and columns == shape[1:].numel() and len(shape) > 1
        # A factor with a kernel keeps it; a flat one may be laid over any kernel.
        kernel_fits = len(right) == 2 or tuple(shape[2:]) in ((), right[2:])
        require(fits and kernel_fits, f"{rows}x{columns}", shape)

    @property
    def is_zero(self) -> bool:
        return any(map(all_zero, (*self.first, *self.second)))

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        left, right = _factor(self.first, base), _factor(self.second, base)
        if right.dim() == 4:
            left = left[:, :, None, None]
        product = torch.kron(left, right.contiguous())
        return product.reshape(base.shape) * (self.scale * strength)


def _factor_shape(parts: tuple[torch.Tensor, ...]) -> tuple[int, ...]:
    if len(parts) == 1:
        return tuple(parts[0].shape)
    a, b = parts[:2]
    require_dims(2, a, b)
    if len(parts) == 3:
        core = parts[2]
        require_dims(4, core)
        joined = (a.shape[0], b.shape[0]) == core.shape[:2]
        made: tuple[int, ...] = (a.shape[1], b.shape[1], *core.shape[2:])
    else:
        joined = a.shape[1] == b.shape[0]
        made = (a.shape[0], b.shape[1])
    if not joined:
        raise ShapeMismatchError(
            f"damaged: its own factors {dims(a.shape)} and {dims(b.shape)} do not fit"
        )
    return made


def _factor(parts: tuple[torch.Tensor, ...], base: torch.Tensor) -> torch.Tensor:
    if len(parts) == 1:
        return wide(parts[0], base)
    if len(parts) == 3:
        a, b, core = (wide(part, base) for part in parts)
        return torch.einsum("ijkl,ip,jr->prkl", core, a, b)
    a, b = (wide(part, base) for part in parts)
    return a @ b


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from `lokr_*`. The rank is that of w2_b, else w1_b; two whole factors ignore alpha."""
    roles = [_roles(tensors, name) for name in ("lokr_w1", "lokr_w2")]
    if not all(roles):
        return None
    first, second = (tuple(tensors[role] for role in factor) for factor in roles)
    factored = second if len(second) > 1 else first
    if len(factored) > 1:
        scale = scaling(tensors, rank_of(factored[1]))
    else:
        scale = number(tensors["scale"]) if "scale" in tensors else 1.0
    return LoKr(first, second, scale)


def _roles(tensors: Tensors, name: str) -> tuple[str, ...]:
    """The tensors that make a factor: whole, in two, or with a core; none where it is not whole."""
    if name in tensors:
        return (name,)
    if f"{name}_a" not in tensors or f"{name}_b" not in tensors:
        return ()
    core = ("lokr_t2",) if name == "lokr_w2" and "lokr_t2" in tensors else ()
    return (f"{name}_a", f"{name}_b", *core)
