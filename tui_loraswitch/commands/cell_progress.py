"""How far a sweep or a tour is: a line on the terminal, and lines of JSON where they are wanted."""

from __future__ import annotations

import json
import sys
from typing import Any

from engine.sweep.drawn import DrawnCells
from tui_loraswitch.commands.progress import ProgressLine


class CellProgress(ProgressLine):
    """A progress line that also prints each change as a line of JSON, if `as_lines`."""

    def __init__(self, as_lines: bool) -> None:
        super().__init__()
        self._as_lines = as_lines
        self._out = sys.stdout
        """That of now: while Ray is at work, what is printed goes into the log."""
        self._told: dict[str, Any] = {}

    def tell(self, cells: DrawnCells, switches: int, **more: object) -> None:
        """Print how far the cells are, and `more`, where that is new."""
        line = {
            "cells": len(cells.cells),
            "drawn": cells.count_drawn,
            "failed": len(cells.faults),
            "switches": switches,
            "grid": str(cells.grid.paths[0]),
            **more,
        }
        if self._as_lines and line != self._told:
            self._told = line
            print(json.dumps(line), file=self._out, flush=True)
