"""Drawing the cells of a sweep by an engine's queue: what is missing is asked for, and put away."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.errors import FileFormatError
from engine.protocol.commands import CancelJob, Command, Draw, RetryJob
from engine.protocol.events import (
    CommandFailed,
    EventMessage,
    GenerationCancelled,
    GenerationFinished,
    GenerationStep,
    JobChanged,
    PictureSaved,
    Switched,
)
from engine.protocol.view import EngineView
from engine.sweep.cells import Cell
from engine.sweep.drawn import DrawnCells
from engine.sweep.order import drawing_order

MOST_OUTSTANDING = 200
"""Jobs that are in the queue at a time: as many are drawn when whoever asked for them is gone."""


class Send(Protocol):
    """Asks an engine; returns the id of the command."""

    def __call__(self, command: Command, id: str | None = None) -> str: ...


@dataclass
class Step:
    """How far the picture that is being drawn is."""

    cell: Cell
    step: int = 0
    total: int = 0


class SweepRun:
    """Has the missing cells drawn, in the order of the fewest switches, and puts each in its place.

    It is told of all events of the engine, in their order and on one thread, by `hear`. A cell's
    job has an id made of its key: jobs that an earlier run has left in a host's queue are waited
    for, not asked for again.
    """

    def __init__(self, cells: DrawnCells, send: Send) -> None:
        self._cells = cells
        self._send = send
        self._to_ask: deque[str] = deque()
        self._jobs: dict[str, str] = {}
        """Keys by the ids of jobs that are not ended."""
        self._saved: dict[str, Path] = {}
        self.switches = 0
        """Those that were made to draw these cells."""
        self.now: Step | None = None

    def begin(self, view: EngineView) -> None:
        """Ask for what is missing; `view` is the engine's before the first event."""
        missing = self._cells.missing()
        there = {job.id: job for job in view.jobs}
        waiting = [key for key in missing if self._id(key) in there]
        for key in waiting:
            self._jobs[self._id(key)] = key
            if there[self._id(key)].state == "set aside":
                # Whoever starts the sweep again wants it tried again.
                self._send(RetryJob(self._id(key)))
        rest = [key for key in missing if key not in set(waiting)]
        live = self._cells.of(waiting[-1]).stack if waiting else view.live
        stacks = [self._cells.of(key).stack for key in rest]
        self._to_ask.extend(rest[number] for number in drawing_order(stacks, live))
        self._ask()

    @property
    def is_done(self) -> bool:
        """Whether nothing is waited for."""
        return not self._jobs and not self._to_ask

    def hear(self, message: EventMessage) -> None:
        """Follow an event; raises `EngineError` where a picture cannot be put in its place."""
        event, id = message.event, message.answers
        if isinstance(event, JobChanged) and event.job.id in self._jobs:
            job = event.job
            cell = self._cells.of(self._jobs[job.id])
            if job.state == "running":
                self.now = self.now if self.now and self.now.cell is cell else Step(cell)
            elif job.state == "set aside":
                self._end(job.id, f"it was set aside: {job.reason}")
        elif isinstance(event, Switched) and id is None and self.now is not None:
            self.switches += 1
        elif id is not None and id in self._jobs:
            self._follow(id, event)

    def cancel(self) -> list[str]:
        """Take what is not drawn out of the queue; returns the ids of the commands for it."""
        self._to_ask.clear()
        sent = [self._send(CancelJob(id)) for id in reversed(self._jobs)]
        self._jobs.clear()
        self.now = None
        return sent

    def _follow(self, id: str, event: object) -> None:
        match event:
            case GenerationStep(step=step, total_steps=total):
                self.now = Step(self._cells.of(self._jobs[id]), step, total)
            case PictureSaved(path=path):
                self._saved[id] = path
            case GenerationFinished():
                self._take(id)
            case GenerationCancelled():
                self._end(id, "it was taken out of the queue")
            case CommandFailed(message=words):
                self._end(id, words)

    def _take(self, id: str) -> None:
        key = self._jobs[id]
        try:
            # What an earlier run has asked for may have been saved before this one listened.
            self._cells.take(key, self._saved.pop(id, None))
        except FileFormatError as error:
            self._end(id, str(error))
        else:
            self._end(id)

    def _end(self, id: str, fault: str = "") -> None:
        key = self._jobs.pop(id)
        self.now = None
        if fault:
            self._cells.refuse(key, fault)
        self._ask()

    def _ask(self) -> None:
        while self._to_ask and len(self._jobs) < MOST_OUTSTANDING:
            key = self._to_ask.popleft()
            id = self._id(key)
            self._jobs[id] = key
            self._send(Draw(self._cells.request(key), self._cells.of(key).stack), id)

    def _id(self, key: str) -> str:
        return self._cells.job_id(key)
