"""Whether files are SDXL models, asked of a process of its own: it needs torch, and may fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from engine.child_environment import child_environment
from engine.errors import CheckpointError, EngineError


class ModelChecks:
    """Checks models by their headers, one after the other; a context manager.

    The process is started at the first check, and ended when the block is left. To be used by one
    thread.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> ModelChecks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def check(self, path: Path, parts_from: Path | None = None) -> None:
        """Raise what `open_checkpoint` would for a path that is no SDXL model."""
        self._process = self._process or _start()
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None, "it is a pipe"
        assert stdout is not None, "it is a pipe"
        try:
            stdin.write(_line([os.fspath(path), parts_from and os.fspath(parts_from)]))
            stdin.flush()
            answer = stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self._process.kill()
            self._process.communicate()
            self._process = None
            raise EngineError(f"{path.name}: it could not be checked, since the check broke off.")
        kind, problem = json.loads(answer)
        if kind == "not SDXL":
            raise CheckpointError(problem)
        if kind == "unreadable":
            raise EngineError(problem)


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "engine.client.model_checks"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        # A hang-up of the terminal is for the program that asks.
        start_new_session=True,
        env=child_environment(),
    )


def _line(value: Any) -> str:
    """As JSON in ASCII, in which file names that are not UTF-8 survive."""
    return json.dumps(value) + "\n"


def _answer(path: Path, parts_from: Path | None) -> tuple[str, str]:
    from engine.checkpoint import check_checkpoint

    try:
        check_checkpoint(path, parts_from=parts_from)
    except CheckpointError as error:
        return "not SDXL", str(error)
    except (EngineError, OSError) as error:
        return "unreadable", str(error)
    return "SDXL", ""


def main() -> None:
    """Answer each line of the input until it ends."""
    # What libraries print is no answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        path, parts_from = json.loads(line)
        answers.write(_line(_answer(Path(path), Path(parts_from) if parts_from else None)))
        answers.flush()


if __name__ == "__main__":
    main()
