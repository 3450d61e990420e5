"""A sweep of the app: drawn by the engine's queue, put away on a thread of its own."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from engine.client.engine import Engine
from engine.errors import CancelledError, EngineError
from engine.protocol.events import EventMessage
from engine.sweep.drawn import DrawnCells
from engine.sweep.facts import ModelFacts
from engine.sweep.folder import SweepFolder
from engine.sweep.run import SweepRun
from engine.sweep.sweep import Sweep

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
"""How often it is looked whether the engine is still there."""

SweepState = Literal["preparing", "drawing", "waiting", "done", "stopped", "failed"]


class Link(Protocol):
    """Where the engine is, and all that it tells."""

    engine: Engine | None
    listener: Callable[[EventMessage], object]


@dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is."""

    state: SweepState
    total: int
    drawn: int = 0
    failed: int = 0
    switches: int = 0
    now: str = ""
    """What is being drawn, or why it failed."""
    sheet: Path | None = None
    folder: str = ""
    """The name of the folder with the cells."""


class SweepTask:
    """Draws one sweep; `on_change` gets its progress, on the task's own thread.

    `prepare` gives the sweep, of `count` cells, on that thread too; what is wrong with it is the
    task's failure. When the engine is lost it waits for the next one, whose queue has what was
    asked for.
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
        self.title = title
        self._prepare = prepare
        self._sweep: Sweep | None = None
        self.progress = SweepProgress("preparing", count)
        self._link = link
        self._index = index
        self._store = store
        self._on_change = on_change
        self.after = after
        self._inbox: queue.SimpleQueue[EventMessage] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._before = 0
        """Switches that were made with engines that are lost since."""
        self._thread = threading.Thread(target=self._work, name="sweep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Take what is not drawn out of the queue; the same sweep goes on when started again."""
        self._stopping.set()

    @property
    def is_running(self) -> bool:
        """Whether it is at work, or waits for an engine."""
        return self.progress.state in ("preparing", "drawing", "waiting")

    def prepared(self) -> Sweep:
        """The sweep, made once; for the next task, which goes on with it. Raises `EngineError`."""
        if self._sweep is None:
            self._sweep = self._prepare()
        return self._sweep

    def _work(self) -> None:
        try:
            sweep = self.prepared()
            folder = SweepFolder(sweep.folder, self._store)
            with folder.held():
                self._draw(sweep, folder)
        except CancelledError:
            self._tell("stopped")
        except EngineError as error:
            self._tell("failed", now=str(error))
        # The thread's end would be seen by nobody; the log has the details.
        except Exception as error:
            log.exception("the sweep failed")
            self._tell("failed", now=f"Unexpected fault: {type(error).__name__}: {error}")
        finally:
            self._link.listener = lambda message: None

    def _draw(self, sweep: Sweep, folder: SweepFolder) -> None:
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
        self.after(cells)
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

    def _tell(self, state: SweepState, now: str = "") -> None:
        last = self.progress
        self._put(replace(last, state=state, now=now))

    def _put(self, progress: SweepProgress) -> None:
        if progress != self.progress:
            self.progress = progress
            self._on_change(progress)
