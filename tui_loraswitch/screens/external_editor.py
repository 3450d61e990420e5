"""A text edited in the user's own editor, with the app out of its way meanwhile."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from textual.app import App, SuspendNotSupported

from engine.errors import FileFormatError
from engine.files.regular_file import read_regular

MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class NotEdited:
    """Why the text stays as it was."""

    words: str


def edit_outside(app: App[None], text: str) -> str | NotEdited:
    """The text as the editor of $VISUAL or $EDITOR (else vi) leaves it."""
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        words = shlex.split(command)
    except ValueError:
        return NotEdited(f"$EDITOR is no command that can be read: {command}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prompt.txt")
        path.write_text(f"{text}\n", encoding="utf-8", errors="replace")
        try:
            with app.suspend():
                code = subprocess.run([*words, str(path)], check=False).returncode
            if code:
                return NotEdited(f"{command} ended with code {code}: the text stays as it was.")
            return read_regular(path, MAX_BYTES).decode("utf-8", "replace").rstrip("\n")
        except SuspendNotSupported:
            return NotEdited("There is no terminal here that an editor could have.")
        except (OSError, FileFormatError) as error:
            return NotEdited(f"{command} cannot be used: {error}")
