"""A picture opened in the desktop's own viewer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from engine.words.clean import clean_line


def open_outside(path: Path) -> str:
    """Open a file as the desktop does; a sentence where that cannot be, else "".

    Over SSH without a forwarded display there is no desktop.
    """
    has_desktop = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    name = clean_line(str(path))
    if not (has_desktop or sys.platform == "darwin") or shutil.which(opener) is None:
        return f"There is no desktop here; the picture is {name}"
    try:
        subprocess.Popen(
            [opener, str(path)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return f"{opener} cannot be run ({error.strerror}); the picture is {name}"
    return ""
