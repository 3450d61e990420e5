"""The cells of one sweep with their folder and their sheets: what is drawn, what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from engine.errors import EngineError, FileFormatError
from engine.files.saving import in_words
from engine.protocol.request import GenerateRequest
from engine.sweep.cells import Cell
from engine.sweep.folder import KeyedCell, SweepFolder
from engine.sweep.grid import Grid


class DrawnCells:
    """Knows the cells by their keys; cells that look alike share one, and are drawn once.

    `folder` is to be held. Raises `EngineError` where something cannot be written.
    """

    def __init__(
        self,
        folder: SweepFolder,
        cells: Sequence[Cell],
        keys: Sequence[str],
        grid: Callable[[], Grid],
    ) -> None:
        self.folder = folder
        self.cells = cells
        self._keys = keys
        self.faults: dict[str, str] = {}
        """Why cells were not drawn, by key."""
        self.drawn: set[str] = set()
        """The keys of the cells that are in the folder."""
        self._by_key: dict[str, list[int]] = {}
        for number, key in enumerate(keys):
            self._by_key.setdefault(key, []).append(number)
        folder.look()
        self.drawn.update(key for key in self._by_key if self._is_there(key))
        folder.mend_record(keyed for key in self.drawn for keyed in self._keyed(key))
        self.grid = grid()
        for key in self.drawn:
            self._show(key)
        if self.drawn:
            self._write(at_last=not self.missing())

    @property
    def count_drawn(self) -> int:
        """How many cells are drawn."""
        return sum(len(self._by_key[key]) for key in self.drawn)

    def missing(self) -> list[str]:
        """The keys of what is to be drawn, in the plan's order."""
        return [key for key in self._by_key if key not in self.drawn]

    def is_drawn(self, number: int) -> bool:
        """Whether the cell of this number is in the folder."""
        return self._keys[number] in self.drawn

    def of(self, key: str) -> Cell:
        """The first cell of a key."""
        return self.cells[self._by_key[key][0]]

    def job_id(self, key: str) -> str:
        """The id of the job that draws a key's picture, the same in every run."""
        return f"sweep-{self.folder.id}-{key[:32]}"

    def request(self, key: str) -> GenerateRequest:
        """What is asked of the engine: its picture goes where only this key's does."""
        output = self.folder.drawing(key)
        return replace(self.of(key).request, output=output, picture_format="png", file_names="")

    def take(self, key: str, picture: Path | None) -> None:
        """Put a picture that was drawn in its place, or in all that look like it.

        None: it is looked for where it was to be drawn. Raises `FileFormatError` where it is not
        there or not whole.
        """
        keyed = self._keyed(key)
        if picture is not None:
            self.folder.take(keyed[0], picture)
        for each in keyed:
            if not self.folder.find(each):
                raise FileFormatError("The picture that was drawn is not there.")
        for each in keyed:
            self.folder.note(each)
        self.drawn.add(key)
        self._show(key)
        self._write(at_last=False)

    def refuse(self, key: str, reason: str) -> None:
        """Note why a cell is not drawn."""
        self.faults[key] = reason
        for number in self._by_key[key]:
            self.grid.refuse(number, reason)
        self._write(at_last=False)

    def finish(self) -> None:
        """Write the sheets as they are now; nothing is being drawn any more."""
        self.folder.tidy()
        self._write(at_last=True)

    def failed(self) -> list[tuple[Cell, str]]:
        """The cells that were not drawn, and why."""
        return [(self.of(key), reason) for key, reason in self.faults.items()]

    def _is_there(self, key: str) -> bool:
        # Each is looked for: where one is drawn, it is put where the others belong, too.
        found = [self.folder.find(each) for each in self._keyed(key)]
        return all(found)

    def _keyed(self, key: str) -> list[KeyedCell]:
        return [KeyedCell(self.cells[number], key) for number in self._by_key[key]]

    def _show(self, key: str) -> None:
        for number in self._by_key[key]:
            cell = self.cells[number]
            self.grid.show(number, self.folder.path_of(cell))

    def _write(self, at_last: bool) -> None:
        try:
            self.grid.write(at_last)
        except OSError as error:
            raise EngineError(
                f"{self.folder.path}: the grid cannot be written ({in_words(error)})."
            ) from error
