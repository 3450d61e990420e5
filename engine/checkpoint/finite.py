"""Notice a model with useless values when it is loaded, not in black pictures."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from engine.checkpoint.source import Place
from engine.errors import CheckpointError


class FiniteCheck:
    """Looks at every weight that is loaded, on the device it is on.

    The smallest and the largest value tell: NaN is both, and of nothing but zeros both are 0.
    Nothing waits for a GPU until the end.
    """

    def __init__(self) -> None:
        self._looked_at: dict[torch.device, list[tuple[Place, torch.Tensor]]] = {}

    def add(self, place: Place, tensor: torch.Tensor) -> None:
        """Look at a parameter that was loaded from `place`."""
        if tensor.numel():
            ends = torch.stack(torch.aminmax(tensor)).float()
            self._looked_at.setdefault(tensor.device, []).append((place, ends))

    def require_finite(self) -> tuple[Place, ...]:
        """The weights that are nothing but zeros, biases and norms apart.

        Raises `CheckpointError` naming a tensor with values that are not finite.
        """
        bad, zeros = list[Place](), list[Place]()
        for looked_at in self._looked_at.values():
            places, ends = zip(*looked_at, strict=True)
            for place, (low, high) in zip(places, torch.stack(ends).tolist(), strict=True):
                if not (math.isfinite(low) and math.isfinite(high)):
                    bad.append(place)
                elif low == high == 0 and len(place.shape) > 1:
                    zeros.append(place)
        if bad:
            raise CheckpointError(_words(bad))
        return tuple(zeros)


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
