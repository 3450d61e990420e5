"""Adapter families, one small file each, and the order in which they are tried."""

from __future__ import annotations

import torch

from engine.lora.families import (
    boft,
    full,
    glora,
    hira,
    hra,
    ia3,
    loha,
    lokr,
    lora,
    oft,
    peft_boft,
    peft_oft,
    singular,
    tlora,
)
from engine.lora.families.adapter import Adapter, Build, ShapeMismatchError, Tensors, dims
from engine.lora.families.dora import with_magnitude
from engine.lora.families.full import BIAS_ROLES
from engine.lora.families.lora import LowRank
from engine.lora.families.reads import NUMBERS, Reads
from engine.lora.families.residual import with_residual
from engine.lora.families.sum import sum_of

FAMILIES: tuple[Build, ...] = (
    lora.build,
    singular.build,
    tlora.build,
    loha.build,
    lokr.build,
    glora.build,
    hira.build,
    oft.build,
    boft.build,
    peft_oft.build,
    peft_boft.build,
    hra.build,
    ia3.build,
    full.build,
)

_COUNTS = frozenset({"bias_indices", "bias_size"})
"""Roles of tensors that hold places, and no part of a weight."""

__all__ = [
    "BIAS_ROLES",
    "FAMILIES",
    "Adapter",
    "LowRank",
    "Reads",
    "ShapeMismatchError",
    "Tensors",
    "build_bias",
    "build_weight",
    "damage",
]


def build_weight(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build the adapter of a weight of `shape`; None when no family knows these tensors.

    The tensors of several families add up, as if each lay in a file of its own: `up @ down + diff`.
    A magnitude and a sparse rest go with the first.
    """
    found = [adapter for build in FAMILIES if (adapter := build(tensors, shape)) is not None]
    if found:
        found[0] = with_magnitude(tensors, with_residual(tensors, found[0]), shape)
    return sum_of(found)


def build_bias(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build the adapter of the bias beside a weight of `shape`; None when the file has none."""
    found = (full.build_bias(tensors), ia3.build_bias(tensors, shape))
    return sum_of([adapter for adapter in found if adapter is not None])


def damage(tensors: Tensors) -> str:
    """What makes the tensors of a module useless, in words; empty where nothing does."""
    for role in NUMBERS & tensors.keys():
        if tensors[role].numel() != 1:
            return f"its {role} has the shape {dims(tensors[role].shape)}, which is not one number"
    if "weight_scale" in tensors:
        return "its factors are quantized (weight_scale), which is not supported"
    for role, tensor in tensors.items():
        if role not in _COUNTS and tensor.numel() > 1 and not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            return f"its {role} is {kind}, as in quantized files, which are not supported"
    return ""
