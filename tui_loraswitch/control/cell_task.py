"""Drawing the cells of a sweep beside the screen: what all ways of doing it have in common."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from engine.errors import CancelledError, EngineError
from engine.sweep.sweep import Sweep

log = logging.getLogger(__name__)

SweepState = Literal["preparing", "drawing", "waiting", "done", "stopped", "failed"]


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
    workers: tuple[str, ...] = ()
    """What each worker of a cluster is at."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more is drawn unless somebody says so."""
        return self.state in ("done", "stopped", "failed")


class CellTask(ABC):
    """Draws one sweep; `on_change` gets its progress, on the task's own thread.

    `prepare` gives the sweep, of `count` cells, on that thread too; what is wrong with it is the
    task's failure.
    """

    outlives_app: ClassVar[bool] = False
    """Whether it goes on when the app has ended and there is no engine."""

    def __init__(
        self,
        title: str,
        count: int,
        prepare: Callable[[], Sweep],
        on_change: Callable[[SweepProgress], object],
    ) -> None:
        self.title = title
        self.progress = SweepProgress("preparing", count)
        self._prepare = prepare
        self._sweep: Sweep | None = None
        self._on_change = on_change
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="sweep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Draw no more; the same sweep goes on when started again."""
        self._stopping.set()

    @property
    def is_running(self) -> bool:
        """Whether it is at work, or waits for an engine."""
        return not self.progress.is_over

    def prepared(self) -> Sweep:
        """The sweep, made once; for the next task, which goes on with it. Raises `EngineError`."""
        if self._sweep is None:
            self._sweep = self._prepare()
        return self._sweep

    @abstractmethod
    def again(self) -> CellTask:
        """A task that goes on with what is missing."""

    @abstractmethod
    def _draw(self, sweep: Sweep) -> None:
        """Draw what is missing; raises `EngineError`, or `CancelledError` when stopped."""

    def _work(self) -> None:
        try:
            self._draw(self.prepared())
        except CancelledError:
            self._tell("stopped")
        except EngineError as error:
            self._tell("failed", now=str(error))
        # The thread's end would be seen by nobody; the log has the details.
        except Exception as error:
            log.exception("the sweep failed")
            self._tell("failed", now=f"Unexpected fault: {type(error).__name__}: {error}")

    def _tell(self, state: SweepState, now: str = "") -> None:
        self._put(replace(self.progress, state=state, now=now))

    def _put(self, progress: SweepProgress) -> None:
        if progress != self.progress:
            self.progress = progress
            self._on_change(progress)
