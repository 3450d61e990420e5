"""Drawing the cells of a sweep or a tour on a Ray cluster: `--ray`."""

from __future__ import annotations

import argparse
import time
from typing import Any

from engine.cluster.driver import ClusterOptions, ClusterRun, WorkerState, resources
from engine.cluster.model_digest import model_digest
from engine.cluster.start import cluster
from engine.demo import DEMO_MODEL
from engine.errors import EngineError
from engine.proof.contents import FileContents
from engine.sweep.drawn import DrawnCells
from engine.sweep.facts import ModelFacts, keep_facts
from engine.sweep.folder import SweepFolder
from engine.sweep.sweep import Sweep
from tui_loraswitch.commands.cell_drawing import Outcome, all_there
from tui_loraswitch.commands.cell_progress import CellProgress
from tui_loraswitch.commands.places import store_path
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.control.load_command import load_command


def draw_on_cluster(sweep: Sweep, settings: AppSettings, args: argparse.Namespace) -> Outcome:
    """Draw what is missing; raises `EngineError` where that cannot go on."""
    start = time.monotonic()
    folder = SweepFolder(sweep.folder, store_path())
    with folder.held():
        outcome = all_there(sweep, folder, settings)
        if outcome is None:
            with CellProgress(args.json_lines) as progress, cluster(args.ray, args.workers) as ray:
                outcome = _draw(ray, sweep, folder, settings, args, progress)
    outcome.seconds = time.monotonic() - start
    return outcome


def _draw(
    ray: Any,
    sweep: Sweep,
    folder: SweepFolder,
    settings: AppSettings,
    args: argparse.Namespace,
    progress: CellProgress,
) -> Outcome:
    load = load_command(settings, settings.model)
    model = settings.model or DEMO_MODEL
    room, gpu = resources(ray, args.threads)
    workers = min(args.workers or room, len(sweep.cells))
    if not workers:
        raise EngineError(
            f"The cluster has no room for a worker of {args.threads} threads: give fewer with "
            "--threads."
        )
    options = ClusterOptions(
        workers,
        args.threads,
        gpu,
        load,
        model_digest(model, FileContents(settings.index_path)),
        settings.index_path,
        settings.index_path.parent / "loras",
    )

    def show(run: ClusterRun) -> None:
        progress.show(_words(run))
        if run.cells is not None:
            progress.tell(run.cells, _switches(run), workers=[_as_json(w) for w in run.workers])

    def look(facts: ModelFacts) -> DrawnCells:
        return sweep.look(folder, settings.index_path, facts)

    run = ClusterRun(ray, options, look, show)
    drawn = run.draw()
    if run.facts is not None:
        keep_facts(folder.path, load, model, run.facts)
    return Outcome(drawn, run.found, _switches(run), workers=[_as_json(w) for w in run.workers])


def _switches(run: ClusterRun) -> int:
    return sum(worker.switches for worker in run.workers)


def _words(run: ClusterRun) -> str:
    """Progress on one line: how far it is, and each worker's pictures per minute."""
    if run.cells is None:
        return f"{len(run.workers)} workers open the model"
    each = " · ".join(
        f"{worker.name.removeprefix('worker ')}: {worker.cell.name if worker.cell else '-'} "
        f"{worker.per_minute:.0f}/min"
        for worker in run.workers
        if worker.opened and not worker.lost
    )
    return f"{run.cells.count_drawn}/{len(run.cells.cells)} cells · {each}"


def _as_json(worker: WorkerState) -> dict[str, object]:
    opened = worker.opened
    return {
        "name": worker.name,
        "node": opened.node if opened else None,
        "device": opened.device if opened else None,
        "pid": opened.pid if opened else None,
        "cell": worker.cell.name if worker.cell else None,
        "cells": worker.cells,
        "switches": worker.switches,
        "per_minute": round(worker.per_minute, 2),
        "load_seconds": round(opened.seconds, 3) if opened else None,
        "bytes_fetched": worker.bytes_fetched,
        "lost": worker.lost or None,
    }
