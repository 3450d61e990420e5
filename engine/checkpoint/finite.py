"""Notice a model with values that are NaN or infinite when it is loaded, not in black pictures."""

from __future__ import annotations

from dataclasses import replace

import torch

from engine.checkpoint.source import Place
from engine.errors import CheckpointError


class FiniteCheck:
    """Looks at every weight that is loaded, on the device it is on.

    The smallest and the largest value tell: NaN is both. Nothing waits for a GPU until the end.
    """

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._are_finite: list[torch.Tensor] = []

    def add(self, place: Place, tensor: torch.Tensor) -> None:
        """Look at a parameter that was loaded from `place`."""
        if tensor.numel():
            self._places.append(place)
            self._are_finite.append(torch.stack(torch.aminmax(tensor)).isfinite().all())

    def require_finite(self) -> None:
        """Raise `CheckpointError` naming a tensor with values that are not finite."""
        if not self._are_finite:
            return
        flags = torch.stack(self._are_finite).tolist()
        bad = [place for place, is_finite in zip(self._places, flags, strict=True) if not is_finite]
        if bad:
            raise CheckpointError(_words(bad))


def _words(bad: list[Place]) -> str:
    first, *others = bad
    more = f" (and {len(others):,} more tensors)" if others else ""
    name = f"{first.file.path.name}: the tensor {first.key[:90]}{more}"
    values = replace(first, dtype=torch.float32).read()
    count = int((~values.isfinite()).sum())
    if not count:
        kind = str(first.dtype).removeprefix("torch.")
        return (
            f"{name} holds values too large for {kind}, up to {float(values.abs().max()):,.0f}; "
            "open it as bfloat16 or float32 (--dtype)."
        )
    return (
        f"{name} holds {count:,} values that are not finite (NaN or infinity), which would make "
        "every picture black; the file is damaged, or its training or merging failed."
    )
