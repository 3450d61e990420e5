"""Several adapters of one weight in one file: their changes add up."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import Adapter


@dataclass(frozen=True)
class Sum(Adapter):
    """delta = the sum of the members' deltas, each computed from the same base weight."""

    members: tuple[Adapter, ...]

    @property
    def is_additive(self) -> bool:
        return all(member.is_additive for member in self.members)

    def check(self, shape: torch.Size) -> None:
        for member in self.members:
            member.check(shape)

    @property
    def is_zero(self) -> bool:
        return all(member.is_zero for member in self.members)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        first, *others = self.members
        total = first.delta(base, strength)
        for member in others:
            # Not in place: a delta may be a view of the file's own tensor.
            total = total + member.delta(base, strength)
        return total


def sum_of(adapters: list[Adapter]) -> Adapter | None:
    """One adapter for several; None for none."""
    return adapters[0] if len(adapters) == 1 else Sum(tuple(adapters)) if adapters else None
