"""What a Python process that this one starts has to be told."""

from __future__ import annotations

import os
from pathlib import Path


def child_environment() -> dict[str, str]:
    """That of this process, in which Python finds the same packages."""
    sources = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, (sources, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}
