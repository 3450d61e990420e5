"""W0 of the weights that a stack changes, kept on the device or in host memory."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from engine.reports import Tier
from engine.switch.plan import WeightName


class Backups:
    """Copies of base weights, in one tier; the tier can be moved at any time.

    `device`: beside the live weight. `cpu`: in host memory, pinned when the weight lives on CUDA.
    """

    def __init__(self, tier: Tier) -> None:
        self._tier: Tier = tier
        self._saved: dict[WeightName, torch.Tensor] = {}

    @property
    def tier(self) -> Tier:
        """Where the copies are."""
        return self._tier

    @property
    def bytes(self) -> int:
        """Bytes of all copies."""
        return sum(tensor.nbytes for tensor in self._saved.values())

    def __contains__(self, name: WeightName) -> bool:
        return name in self._saved

    def names(self) -> tuple[WeightName, ...]:
        """The weights that have a copy."""
        return tuple(self._saved)

    def save(self, name: WeightName, weight: torch.Tensor) -> None:
        """Copy a base weight; `weight` must not have been changed yet."""
        self._saved[name] = _copy_to_tier(weight, self._tier, weight.device)

    def get(self, name: WeightName) -> torch.Tensor:
        """The copy of a base weight; raises `KeyError` when there is none."""
        return self._saved[name]

    def release(self, names: Iterable[WeightName]) -> None:
        """Drop copies that no live LoRA needs."""
        for name in names:
            self._saved.pop(name, None)

    def move(self, tier: Tier, device: torch.device) -> None:
        """Move all copies to a tier, one by one; `device` is where the live weights are.

        When that fails part-way, those already moved go back, and the tier stays the old one.
        """
        if tier == self._tier:
            return
        moved: list[WeightName] = []
        try:
            for name, tensor in self._saved.items():
                self._saved[name] = _copy_to_tier(tensor, tier, device)
                moved.append(name)
        except BaseException:
            for name in moved:
                self._saved[name] = _copy_to_tier(self._saved[name], self._tier, device)
            raise
        self._tier = tier


def _copy_to_tier(tensor: torch.Tensor, tier: Tier, device: torch.device) -> torch.Tensor:
    if tier == "device":
        return tensor.to(device, copy=True)
    pinned = device.type == "cuda"
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=pinned)
    return host.copy_(tensor)
