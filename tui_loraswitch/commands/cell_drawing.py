"""Drawing the cells of a sweep or a tour, by the host that runs or in an engine of the command."""

from __future__ import annotations

import argparse
import json
import queue
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from engine.demo import DEMO_MODEL
from engine.errors import EngineError
from engine.host.left_jobs import take_back
from engine.host.runtime import HostError, HostPlace, place_of
from engine.protocol.advance import advance
from engine.protocol.commands import Load
from engine.protocol.events import CommandFailed, EventMessage, LoadProgress, ModelLoaded
from engine.protocol.text import duration, plural
from engine.protocol.view import EngineView
from engine.sweep.drawn import DrawnCells
from engine.sweep.facts import ModelFacts, keep_facts, kept_facts
from engine.sweep.folder import SweepFolder
from engine.sweep.run import SweepRun
from engine.sweep.sweep import Sweep
from engine.words.clean import clean_line
from tui_loraswitch.commands import attach, engine_run
from tui_loraswitch.commands.cell_progress import CellProgress
from tui_loraswitch.commands.hosts import host_name
from tui_loraswitch.commands.outcome import FAILED, OK, say
from tui_loraswitch.commands.places import host_state_path, store_path
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.control.load_command import load_command

_MOST_FAULTS_SAID = 20


@dataclass
class Outcome:
    """What a run has come to."""

    drawn: DrawnCells
    found: int
    """Cells that were there before."""
    switches: int = 0
    seconds: float = 0.0
    workers: list[dict[str, object]] = field(default_factory=list)
    """Those of a cluster."""


def draw_sweep(
    sweep: Sweep, settings: AppSettings, host: HostPlace | None, as_lines: bool
) -> Outcome:
    """Draw what is missing; raises `EngineError` where that cannot go on."""
    start = time.monotonic()
    folder = SweepFolder(sweep.folder, store_path())
    with folder.held():
        outcome = all_there(sweep, folder, settings) if host is None else None
        if outcome is None:
            with CellProgress(as_lines) as progress:
                run = _Run(sweep, folder, settings, host, progress)
                with engine_run.left_in_any_case(run.leave):
                    outcome = run.draw()
    outcome.seconds = time.monotonic() - start
    return outcome


def all_there(sweep: Sweep, folder: SweepFolder, settings: AppSettings) -> Outcome | None:
    """The outcome where nothing is missing, found out without loading the model; else None."""
    load = load_command(settings, settings.model)
    facts = kept_facts(folder.path, load, settings.model or DEMO_MODEL)
    if facts is None:
        return None
    drawn = sweep.look(folder, settings.index_path, facts)
    return None if drawn.missing() else Outcome(drawn, drawn.count_drawn)


class _Run:
    """Waits for the model, has the cells drawn, and follows until the last one is there."""

    def __init__(
        self,
        sweep: Sweep,
        folder: SweepFolder,
        settings: AppSettings,
        place: HostPlace | None,
        progress: CellProgress,
    ) -> None:
        self._sweep = sweep
        self._folder = folder
        self._settings = settings
        self._place = place
        self._progress = progress
        self._inbox: queue.SimpleQueue[EventMessage | EngineError] = queue.SimpleQueue()
        self._drawing: SweepRun | None = None
        self._cells: DrawnCells | None = None
        self._lost = False
        self._engine = attach.connected(place, self._lose)
        # After the events that were taken out of the inbox, which is not always the newest.
        self._view: EngineView = self._engine.attach(self._inbox.put)

    def draw(self) -> Outcome:
        """Draw what is missing."""
        load = load_command(self._settings, self._settings.model)
        facts = self._facts(load)
        self._cells = cells = self._sweep.look(self._folder, self._settings.index_path, facts)
        outcome = Outcome(cells, cells.count_drawn)
        if cells.missing():
            if self._place is None:
                self._take_back(cells)
            engine_run.say_if_paused(self._view)
            self._drawing = run = SweepRun(cells, self._engine.send)
            run.begin(self._view)
            while not run.is_done:
                run.hear(self._next())
                self._show_progress()
            outcome.switches = run.switches
        cells.finish()
        return outcome

    def _take_back(self, cells: DrawnCells) -> None:
        """What a host that has died was to draw of these is drawn here."""
        place = place_of(host_name(self._settings.device))
        take_back(
            place, host_state_path(place.name), {cells.job_id(key) for key in cells.missing()}
        )

    def leave(self) -> bool:
        """Take what is not drawn out of the queue, and leave the engine; True when in time."""
        if self._drawing is not None and not self._drawing.is_done:
            self._drop(self._drawing)
        return self._engine.close(engine_run.CLOSE_SECONDS)

    def _facts(self, load: Load) -> ModelFacts:
        """What of the model counts, once it is loaded."""
        asked = engine_run.needed_load(self._view, self._settings)
        own = self._engine.send(asked) if asked is not None else None
        while self._view.model is None:
            message = self._next()
            event = message.event
            if isinstance(event, LoadProgress):
                self._progress.follow(event)
            if own is not None and message.answers == own:
                if isinstance(event, ModelLoaded):
                    for note in event.notes:
                        say(note)
                if isinstance(event, CommandFailed):
                    raise EngineError(event.message)
            if (reason := engine_run.no_model_comes(event, self._view)) is not None:
                raise EngineError(reason)
        facts = ModelFacts.of(self._view.model)
        if self._place is None:
            keep_facts(self._folder.path, load, self._view.model.path, facts)
        return facts

    def _next(self) -> EventMessage:
        message = self._inbox.get()
        if isinstance(message, EngineError):
            raise message
        self._view = advance(self._view, message)
        return message

    def _lose(self, reason: str) -> None:
        self._lost = True
        self._inbox.put(
            HostError(
                f"The connection to the host is lost ({reason}). Start the same command again: it "
                "goes on with what is missing."
            )
        )

    def _drop(self, run: SweepRun) -> None:
        """Cancel, and wait until the host has heard of the last job."""
        sent = run.cancel()
        last = sent[-1] if sent else None
        with suppress(queue.Empty):
            while last is not None and not self._lost:
                message = self._inbox.get(timeout=engine_run.CLOSE_SECONDS)
                if isinstance(message, EventMessage) and message.answers == last:
                    return

    def _show_progress(self) -> None:
        if self._drawing is None or self._cells is None or (now := self._drawing.now) is None:
            return
        where = ", ".join(f"{name} {value}" for name, value in now.cell.values.items())
        self._progress.tell(
            self._cells, self._drawing.switches, now=where, step=now.step, steps=now.total
        )
        done = f"cell {self._cells.count_drawn + 1}/{len(self._cells.cells)}"
        self._progress.show(f"{done} · {where} · step {now.step}/{now.total}")


def report(outcome: Outcome, args: argparse.Namespace, **more: int) -> int:
    """Say what was done, with further counts by their names; an exit code."""
    drawn = outcome.drawn
    failed = drawn.failed()
    for cell, reason in failed[:_MOST_FAULTS_SAID]:
        say(f"{cell.name} was not drawn: {reason}")
    if args.json or args.json_lines:
        indent = None if args.json_lines else 2
        print(json.dumps(_as_json(outcome) | more, indent=indent), flush=True)
    else:
        new = drawn.count_drawn - outcome.found
        parts = [f"{plural(new, 'cell')} drawn"]
        parts += [f"{outcome.found} were there"] if outcome.found else []
        parts += [f"{len(failed)} failed"] if failed else []
        parts += [f"{count} {name}" for name, count in more.items()]
        parts += [plural(outcome.switches, "switch", "switches"), duration(outcome.seconds)]
        print(", ".join(parts))
        for path in drawn.grid.paths:
            print(clean_line(str(path)))
    return FAILED if failed else OK


def _as_json(outcome: Outcome) -> dict[str, Any]:
    drawn = outcome.drawn
    workers = {"workers": outcome.workers} if outcome.workers else {}
    return {
        "folder": str(drawn.folder.path),
        "grid": [str(path) for path in drawn.grid.paths],
        "record": str(drawn.folder.record),
        "cells": len(drawn.cells),
        "drawn": drawn.count_drawn - outcome.found,
        "found": outcome.found,
        "switches": outcome.switches,
        "seconds": round(outcome.seconds, 3),
        "failed": [
            {"name": cell.name, "axes": dict(cell.values), "reason": reason}
            for cell, reason in drawn.failed()
        ],
        **workers,
    }
