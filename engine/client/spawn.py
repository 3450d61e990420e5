"""Start a host that outlives this process and its terminal, and wait until it answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.child_environment import child_environment
from engine.files.regular_file import keeps_waiting
from engine.host.runtime import HostError, HostPlace

START_SECONDS = 20.0
_POLL_SECONDS = 0.02


def spawn_host(place: HostPlace, arguments: Sequence[str], log: Path) -> None:
    """Run `python -m tui_loraswitch ARGUMENTS` as a host, and wait for its socket.

    It gets a session of its own and no descriptor of the terminal: sshd waits for whoever holds
    one. Where another client starts one at the same time, one of the two gives way by itself.
    Raises `HostError` where none answers.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with (Path(os.devnull) if keeps_waiting(log) else log).open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tui_loraswitch", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            # Not the user's folder: a disk that a host sits in cannot be unmounted.
            cwd="/",
            env=child_environment(),
        )
    if not _until(lambda: place.socket.exists() and place.is_alive(), process):
        raise HostError(f"The host does not start; {log} has the details.")


def _until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > end or process.poll() not in (None, 0):
            return condition()
        time.sleep(_POLL_SECONDS)
    return True
