"""A sweep of the app on a Ray cluster: drawn by a command of its own, and followed here."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.child_environment import child_environment
from engine.demo import DEMO_LORAS
from engine.errors import CancelledError, EngineError
from engine.protocol.commands import Load
from engine.protocol.text import plural
from engine.sweep.sweep import Sweep
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.control.cell_task import CellTask, SweepProgress

_PROGRAM = [sys.executable, "-m", "tui_loraswitch"]
_CANCELLED = 130


def cluster_words(settings: AppSettings, load: Load, folder: Path) -> list[str]:
    """The command that draws the plan of a sweep's folder on the cluster of this machine."""
    values: dict[str, object] = {
        "--out": folder,
        "--output": settings.output,
        "--wildcards": settings.wildcards,
        "--styles": settings.styles,
        "--empty-negative": settings.empty_negative,
        "--model": load.model,
        "--device": load.device,
        "--dtype": load.dtype,
        "--backup": load.backup,
        "--mode": load.mode,
        "--vae": load.vae,
        "--vae-dtype": load.vae_dtype,
        "--parts-from": load.parts_from,
        "--prediction": load.prediction,
        "--compile": "graph" if load.graphs else "on" if load.compiled else "off",
    }
    words = ["sweep", str(folder / "plan.toml"), "--ray", "auto", "--json-lines"]
    words += [word for name, value in values.items() if value for word in (name, str(value))]
    loras = settings.loras
    if load.model is None:
        words.append("--demo")
        loras = tuple(path for path in loras if path != DEMO_LORAS)  # it brings them
    words += [word for path in loras for word in ("--loras", str(path))]
    return words + [word for path in settings.embeddings for word in ("--embeddings", str(path))]


class ClusterTask(CellTask):
    """Has `loraswitch sweep --ray` draw a sweep; `words_of` gives its words for the folder.

    Ray and its threads stay out of the app. The command is in a session of its own: where the
    terminal is lost it goes on.
    """

    outlives_app = True

    def __init__(
        self,
        title: str,
        count: int,
        prepare: Callable[[], Sweep],
        words_of: Callable[[Path], list[str]],
        on_change: Callable[[SweepProgress], object],
    ) -> None:
        super().__init__(title, count, prepare, on_change)
        self._words_of = words_of
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def again(self) -> ClusterTask:
        """A task that goes on with what is missing."""
        return ClusterTask(
            self.title, self.progress.total, self.prepared, self._words_of, self._on_change
        )

    def stop(self) -> None:
        """Interrupt the command; what is drawn stays."""
        super().stop()
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(signal.SIGINT)

    def _draw(self, sweep: Sweep) -> None:
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            with self._lock:
                if self._stopping.is_set():
                    raise CancelledError("The sweep was stopped.")
                self._process = process = subprocess.Popen(
                    [*_PROGRAM, *self._words_of(sweep.folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    text=True,
                    start_new_session=True,
                    env=child_environment(),
                )
            self._tell("waiting", now="Ray starts, and its workers open the model")
            assert process.stdout is not None, "it is a pipe"
            with process.stdout:
                for line in process.stdout:
                    self._follow(json.loads(line), sweep)
            code = process.wait()
            if self._stopping.is_set() or code == _CANCELLED:
                raise CancelledError("The sweep was stopped.")
            said.seek(0)
            words = said.read().strip()
        if code and not self.progress.failed:
            raise EngineError(words or f"The command has ended with {code}.")
        self._tell("done", now=str(sweep.folder))

    def _follow(self, line: dict[str, Any], sweep: Sweep) -> None:
        if "grid" not in line or isinstance(line["grid"], list):
            return  # the last one, which repeats what the others have told
        self._put(
            SweepProgress(
                "drawing",
                line["cells"],
                line["drawn"],
                line["failed"],
                line["switches"],
                sheet=Path(line["grid"]),
                folder=sweep.folder.name,
                workers=tuple(map(worker_words, line["workers"])),
            )
        )


def worker_words(worker: dict[str, Any]) -> str:
    """One worker of a cluster on one line."""
    name = worker["name"]
    if worker["lost"]:
        return f"{name} · lost: {worker['lost']}"
    if not worker["device"]:
        return f"{name} · opens the model"
    parts = [
        f"{name} · {worker['node']} · {worker['device']}",
        plural(worker["cells"], "cell"),
        plural(worker["switches"], "switch", "switches"),
        f"{worker['per_minute']:.0f} a minute",
    ]
    return " · ".join([*parts, f"now {worker['cell']}"] if worker["cell"] else parts)
