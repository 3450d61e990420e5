"""Adapter families, one small file each, and the order in which they are tried."""

from __future__ import annotations

import torch

from engine.lora.families import full, loha, lokr, lora
from engine.lora.families.adapter import Adapter, Build, ShapeMismatchError, Tensors
from engine.lora.families.dora import DoRA, dora_rows
from engine.lora.families.lora import LowRank

FAMILIES: tuple[Build, ...] = (lora.build, loha.build, lokr.build, full.build)

__all__ = ["FAMILIES", "Adapter", "LowRank", "ShapeMismatchError", "build_bias", "build_weight"]

build_bias = full.build_bias


def build_weight(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build the adapter of a weight of `shape`; None when no family knows these tensors."""
    for build in FAMILIES:
        adapter = build(tensors, shape)
        if adapter is None:
            continue
        if "magnitude" in tensors:
            # PEFT's vector is always one length a row, whatever its shape looks like.
            return DoRA(adapter, tensors["magnitude"], by_row=True)
        if "dora_scale" in tensors:
            return DoRA(adapter, tensors["dora_scale"], dora_rows(tensors["dora_scale"], shape))
        return adapter
    return None
