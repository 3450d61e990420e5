"""Sweeps of the app on a Ray cluster: the command that draws them, and what is shown of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from engine.sweep.sweep import Sweep
from tests.cli.conftest import home as home
from tui_loraswitch.cli import _parser
from tui_loraswitch.commands.options import settings_from
from tui_loraswitch.control import cluster_task
from tui_loraswitch.control.cell_task import SweepProgress
from tui_loraswitch.control.cluster_task import ClusterTask, cluster_words
from tui_loraswitch.control.load_command import load_command

WORKER = {
    "name": "worker 1", "node": "attic", "device": "cuda:0 H100", "pid": 7, "cell": "neon 0.5",
    "cells": 3, "switches": 2, "per_minute": 31.6, "lost": None,
}  # fmt: skip
LINE = {"cells": 8, "drawn": 3, "failed": 0, "switches": 2, "grid": "/out/grid.png"}


@pytest.mark.parametrize("is_demo", [True, False])
def test_the_command_opens_what_the_app_has_open(
    is_demo: bool, home: Path, tiny_checkpoint: Path
) -> None:
    model = ["--demo"] if is_demo else ["--model", str(tiny_checkpoint), "--vae", "auto"]
    more = [
        "--dtype",
        "bfloat16",
        "--backup",
        "file",
        "--mode",
        "tiled",
        "--prediction",
        "v",
        "--compile",
        "graph",
        "--vae-dtype",
        "bfloat16",
    ]
    folders = ["--loras", "a", "--loras", "b", "--embeddings", "c"]
    for name in "abc":
        (home / name).mkdir()
    parser = _parser(["sweep"])
    app = settings_from(parser.parse_args([*model, *more, *folders, "--empty-negative", "encoded"]))
    load = load_command(app, app.model)
    folder = home / "sweep-1"
    args = parser.parse_args(cluster_words(app, load, folder))
    there = settings_from(args)
    assert (args.plan, args.out) == (folder / "plan.toml", folder)
    assert (args.ray, args.json_lines) == ("auto", True)
    assert load_command(there, there.model) == load
    for name in ("loras", "embeddings", "wildcards", "styles", "empty_negative", "output"):
        assert getattr(there, name) == getattr(app, name), name


class Task(ClusterTask):
    """One whose command is a script; `told` has what it tells."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
        monkeypatch.setattr(cluster_task, "_PROGRAM", [sys.executable, "-u", "-c", script])
        sweep = Sweep(Path("/out/sweep-1"), (), (), "grid")
        self.told: list[SweepProgress] = []
        super().__init__("Sweep", 8, lambda: sweep, lambda folder: [], self.tell)

    def tell(self, progress: SweepProgress) -> None:
        self.told.append(progress)
        if "stop" in progress.now or any("stop" in words for words in progress.workers):
            self.stop()

    def finish(self) -> list[str]:
        self._thread.start()
        self._thread.join(30)
        assert not self.is_running
        return [progress.state for progress in self.told]


def test_what_its_workers_do_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = WORKER | {"name": "worker 2", "lost": "ActorDiedError: it died"}
    lines = [LINE | {"workers": [WORKER | {"device": None}]}, LINE | {"workers": [WORKER, lost]}]
    outcome = {"grid": ["/out/grid.png"], "cells": 8}
    script = "\n".join(f"print({json.dumps(json.dumps(line))})" for line in [*lines, outcome])
    task = Task(monkeypatch, script)
    assert task.finish() == ["waiting", "drawing", "drawing", "done"]
    assert task.told[1].workers == ("worker 1 · opens the model",)
    assert task.progress.workers == (
        "worker 1 · attic · cuda:0 H100 · 3 cells · 2 switches · 32 a minute · now neon 0.5",
        "worker 2 · lost: ActorDiedError: it died",
    )
    assert (task.progress.drawn, task.progress.total) == (3, 8)


def test_why_it_failed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(monkeypatch, "import sys; sys.exit('Ray is not installed: do this.')")
    assert task.finish() == ["waiting", "failed"]
    assert task.progress.now == "Ray is not installed: do this."


def test_it_is_stopped_and_can_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    line = json.dumps(LINE | {"workers": [WORKER | {"cell": "stop"}]})
    script = f"import time; print({line!r}); time.sleep(60)"
    task = Task(monkeypatch, script)
    assert task.finish() == ["waiting", "drawing", "stopped"]
    assert task.again().progress.total == 8
