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
        self._looked_at: dict[torch.device, list[tuple[Place, torch.Tensor]]] = {}

    def add(self, place: Place, tensor: torch.Tensor) -> None:
        """Look at a parameter that was loaded from `place`."""
        if tensor.numel():
            is_finite = torch.stack(torch.aminmax(tensor)).isfinite().all()
            self._looked_at.setdefault(tensor.device, []).append((place, is_finite))

    def require_finite(self) -> None:
        """Raise `CheckpointError` naming a tensor with values that are not finite."""
        bad: list[Place] = []
        for looked_at in self._looked_at.values():
            places, flags = zip(*looked_at, strict=True)
            answers = torch.stack(flags).tolist()
            bad += [place for place, fine in zip(places, answers, strict=True) if not fine]
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
