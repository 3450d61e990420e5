"""Adapter families, one small file each, and the order in which they are tried."""

from __future__ import annotations

import torch

from engine.lora.families import boft, full, glora, ia3, loha, lokr, lora, oft, peft_oft
from engine.lora.families.adapter import Adapter, Build, ShapeMismatchError, Tensors
from engine.lora.families.dora import with_magnitude
from engine.lora.families.lora import LowRank
from engine.lora.families.residual import with_residual

FAMILIES: tuple[Build, ...] = (
    lora.build,
    loha.build,
    lokr.build,
    glora.build,
    oft.build,
    boft.build,
    peft_oft.build,
    ia3.build,
    full.build,
)

__all__ = [
    "FAMILIES",
    "Adapter",
    "LowRank",
    "ShapeMismatchError",
    "Tensors",
    "build_bias",
    "build_weight",
]

build_bias = full.build_bias


def build_weight(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build the adapter of a weight of `shape`; None when no family knows these tensors."""
    for build in FAMILIES:
        adapter = build(tensors, shape)
        if adapter is not None:
            return with_magnitude(tensors, with_residual(tensors, adapter), shape)
    return None
