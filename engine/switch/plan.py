"""The plan of a switch: which weights change and by which adapters, before any is touched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import nn

from engine.block_weights import BLOCKS
from engine.errors import LoraRefusedError
from engine.lora.families import Adapter
from engine.lora.file import FileStamp, LoraFile
from engine.protocol.refs import LoraRef
from engine.switch.blocks import block_factor

Adapted = TypeVar("Adapted")


class WeightName(NamedTuple):
    """One parameter of the model: part, module path, `weight` or `bias`."""

    part: str
    path: str
    kind: str

    def __str__(self) -> str:
        return f"{self.part}.{self.path}.{self.kind}"

    @property
    def parameter(self) -> str:
        """The parameter's name within its part."""
        return f"{self.path}.{self.kind}" if self.path else self.kind

    def find(self, parts: Mapping[str, nn.Module]) -> torch.Tensor:
        """The live parameter; looked up anew each time, since offloading replaces tensors."""
        parameter = parts[self.part].get_submodule(self.path).get_parameter(self.kind)
        return parameter.data


Identity = tuple[FileStamp, float]
"""What one LoRA's share in a weight depends on: equal identities give equal values."""


class Term(NamedTuple):
    """One LoRA's share in one weight."""

    adapter: Adapter
    strength: float
    identity: Identity


Terms = dict[WeightName, list[Term]]


def strength_for(ref: LoraRef, part: str, path: str) -> float:
    """The strength a reference asks for in a module: its part's, times its block's factor."""
    factor = block_factor(ref.blocks, part, path) if ref.blocks else 1.0
    if part == "unet":
        return ref.unet * factor
    return factor * (ref.text_encoder if part == "text_encoder" else ref.text_encoder_2_strength)


def combine(fitted: Sequence[tuple[LoraRef, LoraFile, Mapping[WeightName, Adapter]]]) -> Terms:
    """Collect each weight's terms, in the order of `in_order`; strengths of zero are left out."""
    terms: Terms = {}
    for ref, file, adapters in in_order(fitted):
        identities: dict[float, Identity] = {}
        for name, adapter in adapters.items():
            strength = strength_for(ref, name.part, name.path)
            if strength != 0.0:
                identity = identities.setdefault(strength, (file.stamp, strength))
                terms.setdefault(name, []).append(Term(adapter, strength, identity))
    return terms


def in_order(
    fitted: Iterable[tuple[LoraRef, LoraFile, Adapted]],
) -> list[tuple[LoraRef, LoraFile, Adapted]]:
    """The members of a stack in an order that depends on what is in their files alone.

    Float sums depend on their order: so the result of a stack does not depend on how it was put
    together, nor on what its files are called and where they lie.
    """
    return sorted(fitted, key=lambda item: (item[1].order, _strengths(item[0]), item[1].path))


def _strengths(ref: LoraRef) -> tuple[float, ...]:
    blocks = (dict(ref.blocks).get(name, 1.0) for name in BLOCKS)
    return ref.unet, ref.text_encoder, ref.text_encoder_2_strength, *blocks


def refuse_strange_strengths(ref: LoraRef) -> None:
    """Raise `LoraRefusedError` for a strength that is not a finite number."""
    if not all(math.isfinite(strength) for strength in _strengths(ref)):
        raise LoraRefusedError(f"{ref.name}: its strength is not a number to work with.")
