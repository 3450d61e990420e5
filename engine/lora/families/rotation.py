"""Rotations from skew-symmetric matrices, shared by the orthogonal families."""

from __future__ import annotations

import torch


def skew(blocks: torch.Tensor) -> torch.Tensor:
    """Q = B - B^T of square blocks [..., b, b]."""
    return blocks - blocks.transpose(-1, -2)


def cayley_change(q: torch.Tensor) -> torch.Tensor:
    """R - I with R = (I + Q) (I - Q)^-1, exactly orthogonal, of skew-symmetric blocks [..., b, b].

    It equals 2 Q (I - Q)^-1, which loses nothing to cancellation where Q is small.
    """
    one = torch.eye(q.shape[-1], dtype=torch.float64, device=q.device)
    exact = q.double()
    # The two factors commute, so solving from the left gives the same product.
    change: torch.Tensor = torch.linalg.solve(one - exact, 2 * exact)
    return change.to(q.dtype)


def limit_norm(q: torch.Tensor, largest: float | None) -> torch.Tensor:
    """Shrink all blocks together until their joint Frobenius norm is at most `largest`."""
    if largest is None:
        return q
    norm: torch.Tensor = torch.linalg.vector_norm(q)
    return q * (largest / norm.clamp(min=max(largest, 1e-8)))
