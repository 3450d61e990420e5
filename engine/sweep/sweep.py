"""A sweep or a tour as it is drawn: cells, the folder they go to, the sheets that show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.proof.contents import FileContents
from engine.sweep.cells import Cell
from engine.sweep.drawn import DrawnCells
from engine.sweep.facts import ModelFacts
from engine.sweep.folder import SweepFolder
from engine.sweep.grid import Grid
from engine.sweep.layout import Page, contact_sheets, grid_pages
from engine.sweep.plan import SweepPlan


@dataclass(frozen=True)
class Sweep:
    """Cells, and the sheets that show them."""

    folder: Path
    cells: Sequence[Cell]
    pages: Sequence[Page]
    title: str
    sheet: str = "grid"
    """The name of the sheets' files."""

    @classmethod
    def of_plan(cls, folder: Path, plan: SweepPlan, cells: Sequence[Cell]) -> Sweep:
        """The cells of a plan as a grid, with what is the same in all of them at its head."""
        swept = {axis.name for axis in plan.axes}
        request = cells[0].request
        facts = {
            "steps": f"{request.steps} steps",
            "sampler": request.sampler,
            "cfg_scale": f"CFG {request.cfg_scale:g}",
            "seed": f"seed {request.seed}",
        }
        said = [text for name, text in facts.items() if name not in swept]
        title = " · ".join((str(plan.fixed["prompt"]), *said))
        return cls(folder, cells, grid_pages(plan.axes), title)

    @classmethod
    def of_tour(cls, folder: Path, prompt: str, cells: Sequence[Cell]) -> Sweep:
        """The cells of a tour as contact sheets."""
        pages = contact_sheets([str(cell.values["lora"]) for cell in cells])
        request = cells[0].request
        title = f"{prompt} · {request.steps} steps · seed {request.seed}"
        return cls(folder, cells, pages, title, "sheet")

    def look(self, folder: SweepFolder, index: Path | None, facts: ModelFacts) -> DrawnCells:
        """The cells with their keys for a model, and what of them is in the folder.

        `folder` is to be held. Raises `EngineError`.
        """
        cells = [facts.sized(cell) for cell in self.cells]
        keys = facts.keys(cells, FileContents(index))
        sizes = [(cell.request.width, cell.request.height) for cell in cells]
        largest = max(width for width, _ in sizes), max(height for _, height in sizes)

        def grid() -> Grid:
            return Grid(folder.path, self.pages, self.title, largest, self.sheet)

        return DrawnCells(folder, cells, keys, grid)
