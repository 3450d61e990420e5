"""A sweep of the app: drawn by the engine's queue, put away on a thread of its own."""

from __future__ import annotations

import queue
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from engine.client.engine import Engine
from engine.errors import CancelledError
from engine.protocol.events import EventMessage
from engine.sweep.drawn import DrawnCells
from engine.sweep.facts import ModelFacts
from engine.sweep.folder import SweepFolder
from engine.sweep.run import SweepRun
from engine.sweep.sweep import Sweep
from tui_loraswitch.control.cell_task import CellTask, SweepProgress, SweepState

LOOK_SECONDS = 0.25
"""How often it is looked whether the engine is still there."""


class Link(Protocol):
    """Where the engine is, and all that it tells."""

    engine: Engine | None
    listener: Callable[[EventMessage], object]


class SweepTask(CellTask):
    """Has the engine's queue draw a sweep.

    When the engine is lost it waits for the next one, whose queue has what was asked for. Stopped,
    it takes what is not drawn out of the queue.
    """

    def __init__(
        self,
        title: str,
        count: int,
        prepare: Callable[[], Sweep],
        link: Link,
        index: Path | None,
        store: Path | None,
        on_change: Callable[[SweepProgress], object],
        after: Callable[[DrawnCells], object] = lambda cells: None,
    ) -> None:
        """`after` is what becomes of the cells when all are drawn, on the task's thread."""
        super().__init__(title, count, prepare, on_change)
        self._link = link
        self._index = index
        self._store = store
        self._after = after
        self._inbox: queue.SimpleQueue[EventMessage] = queue.SimpleQueue()
        self._before = 0
        """Switches that were made with engines that are lost since."""

    def again(self) -> SweepTask:
        """A task that goes on with what is missing."""
        return SweepTask(
            self.title, self.progress.total, self.prepared, self._link, self._index, self._store,
            self._on_change, self._after,
        )  # fmt: skip

    def _draw(self, sweep: Sweep) -> None:
        folder = SweepFolder(sweep.folder, self._store)
        try:
            with folder.held():
                self._draw_into(sweep, folder)
        finally:
            self._link.listener = lambda message: None

    def _draw_into(self, sweep: Sweep, folder: SweepFolder) -> None:
        self._link.listener = self._inbox.put
        cells: DrawnCells | None = None
        while cells is None or cells.missing():
            engine = self._engine()
            while not self._inbox.empty():
                self._inbox.get()
            view = engine.view
            if view.model is None:
                self._pause()
                continue
            cells = sweep.look(folder, self._index, ModelFacts.of(view.model))
            run = SweepRun(cells, engine.send)
            run.begin(view)
            if self._follow(engine, run, cells, view.seq):
                break
        cells.finish()
        self._after(cells)
        self._show(cells, None, "done", str(folder.path))

    def _follow(self, engine: Engine, run: SweepRun, cells: DrawnCells, seq: int) -> bool:
        """Until all is drawn; False when the engine is lost before."""
        try:
            while not run.is_done:
                self._show(cells, run, "drawing")
                if self._stopping.is_set():
                    run.cancel()
                    cells.finish()
                    raise CancelledError("The sweep was stopped.")
                if self._link.engine is not engine:
                    return False
                try:
                    message = self._inbox.get(timeout=LOOK_SECONDS)
                except queue.Empty:
                    continue
                if message.seq > seq:
                    run.hear(message)
        finally:
            self._before += run.switches
        return True

    def _engine(self) -> Engine:
        while (engine := self._link.engine) is None:
            self._pause()
        return engine

    def _pause(self) -> None:
        if self._stopping.wait(LOOK_SECONDS):
            raise CancelledError("The sweep was stopped.")
        if self.progress.state != "waiting":
            self._tell("waiting", now="the engine, or its model, is not there yet")

    def _show(
        self, cells: DrawnCells, run: SweepRun | None, state: SweepState, where: str = ""
    ) -> None:
        now = run.now if run is not None else None
        if now is not None:
            where = ", ".join(f"{name} {value}" for name, value in now.cell.values.items())
        self._put(
            SweepProgress(
                state,
                len(cells.cells),
                cells.count_drawn,
                len(cells.faults),
                self._before + (run.switches if run is not None else 0),
                where,
                cells.grid.paths[0],
                cells.folder.path.name,
            )
        )
