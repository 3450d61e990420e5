"""A module's tensors with a note of those that were read: the rest would vanish in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

NUMBERS = frozenset({"alpha", "constraint", "scale", "on_input"})
"""Roles of single numbers in a file."""

_SETTINGS = NUMBERS | {"scaled_oft"}
"""Roles that only say how others are meant: one that is not needed is no loss."""


class Reads(Mapping[str, torch.Tensor]):
    """Tensors by role; families read those that they use and no others."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self._tensors = tensors
        self._unread = set(tensors)

    def __getitem__(self, role: str) -> torch.Tensor:
        tensor = self._tensors[role]
        self._unread.discard(role)
        return tensor

    def __contains__(self, role: object) -> bool:
        return role in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    @property
    def left_over(self) -> tuple[str, ...]:
        """The roles of tensors that no family has read."""
        return tuple(role for role in self._tensors if role in self._unread - _SETTINGS)
