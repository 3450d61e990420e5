"""Weights that are pages of the model's mapped file: whoever writes to the file writes to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from engine.errors import EngineError
from engine.switch.backup import Live, ModelFile
from engine.switch.plan import WeightName


class FilePages:
    """Knows which weights lie in the mapped file, and whether it still is what it was.

    Pages that a switch has written to are memory of this process, but cutting the file off takes
    even those away. So when the file is another version, nothing is known of any of its weights
    until they are proven anew. `weights` are those of the model, as they were loaded.
    """

    def __init__(self, file: ModelFile, weights: Mapping[WeightName, torch.Tensor]) -> None:
        self._file = file
        self._addresses = {
            name: weight.data_ptr()
            for name, weight in weights.items()
            if file.is_mapped(name.part, name.parameter)
        }
        self._unwritten = set(self._addresses)
        self._proven = self.version()

    def version(self) -> object:
        """The version of the file; None where no weight lies in it."""
        return self._file.version() if self._addresses else None

    @property
    def are_proven(self) -> bool:
        """Whether nobody has written to the file since its weights were proven last."""
        try:
            return self.version() == self._proven
        except EngineError:
            return False

    def prove(self, version: object) -> None:
        """Take note that the weights are right in this version of the file."""
        self._proven = version

    def require_whole(self) -> None:
        """Raise `EngineError` when the file has become shorter.

        To touch what was cut off would end the process.
        """
        if self._addresses:
            self._file.require_whole()

    def require_as_loaded(self) -> None:
        """Raise `EngineError` when the file was written to since it was loaded."""
        if self._addresses:
            self._file.require_as_loaded()

    def among(self, weights: Mapping[WeightName, torch.Tensor]) -> set[WeightName]:
        """Those of the weights that lie in the file; others have moved to memory of their own."""
        return {
            name
            for name, address in self._addresses.items()
            if name in weights and weights[name].data_ptr() == address
        }

    def unwritten(self, names: Iterable[WeightName], live: Live) -> set[WeightName]:
        """Those of the weights that take memory when they are written to for the first time."""
        if not self._unwritten:
            return set()
        return self.among({name: live(name) for name in self._unwritten.intersection(names)})

    def write(self, names: Iterable[WeightName]) -> None:
        """Take note that these are written to."""
        if self._unwritten:
            self._unwritten.difference_update(names)
