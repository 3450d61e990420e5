"""What a stack of LoRAs asks of the machine: bytes to touch, and matrix products."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from torch import nn

from engine.lora.families import LowRank
from engine.lora.file import read_lora_header
from engine.lora.targets import TargetTable
from engine.protocol.refs import LoraRef
from engine.switch.fit import fit
from engine.switch.plan import WeightName

Product = tuple[int, int, int]
"""Rows, rank and columns of `up @ down`."""


@dataclass(frozen=True)
class Work:
    """The weights of one stack and its products, one per weight with all ranks joined."""

    weights: Mapping[WeightName, int]
    """Bytes by weight."""
    products: Mapping[Product, int]
    """How many of each shape. Families that are no low-rank product are left out."""

    @property
    def bytes(self) -> int:
        """Bytes of all weights."""
        return sum(self.weights.values())

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return sum(
            2 * n * rows * rank * columns for (rows, rank, columns), n in self.products.items()
        )


def union_bytes(works: Sequence[Work]) -> int:
    """Bytes of the weights in any of them, each counted once."""
    together: dict[WeightName, int] = reduce(lambda a, b: a | dict(b.weights), works, {})
    return sum(together.values())


class Works:
    """Finds the work of stacks for one model; only the headers of files are read."""

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        self._parts = parts
        self._table = TargetTable(parts)
        self._ranks: dict[Path, dict[WeightName, Product | None]] = {}

    def of(self, stack: Sequence[LoraRef]) -> Work:
        """The work of a stack; raises `EngineError` for a file that does not fit."""
        joined: dict[WeightName, Product] = {}
        weights: dict[WeightName, int] = {}
        for ref in stack:
            for name, product in self._of_file(ref.path).items():
                weights[name] = name.find(self._parts).nbytes
                if product is not None:
                    rows, rank, columns = product
                    before = joined.get(name, (rows, 0, columns))[1]
                    joined[name] = (rows, before + rank, columns)
        return Work(weights, Counter(joined.values()))

    def _of_file(self, path: Path) -> dict[WeightName, Product | None]:
        if path not in self._ranks:
            adapters, _ = fit(read_lora_header(path), self._table, self._parts)
            self._ranks[path] = {
                name: (adapter.up.shape[0], adapter.up.shape[1], adapter.down.shape[1])
                if isinstance(adapter, LowRank)
                else None
                for name, adapter in adapters.items()
            }
        return self._ranks[path]
