"""End hosts by the runtime folder that they were given, whatever they are at."""

from __future__ import annotations

from pathlib import Path

import psutil

from engine.host.runtime import FOLDER_VARIABLE


def end_hosts(folder: Path) -> None:
    """Kill the processes whose sockets are for this folder, this one excepted.

    One that is only being started holds no lock yet, so its place does not tell of it.
    """
    this = psutil.Process()
    for process in psutil.process_iter():
        if process != this and _environment(process).get(FOLDER_VARIABLE) == str(folder):
            process.kill()


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:  # It has ended, or is another user's.
        return {}
