"""PyTorch's libraries are open before its import, and the collector is as it was after it."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import gc, pathlib, sys
from engine.heavy_imports import heavy_imports
with heavy_imports():
    assert "torch" not in sys.modules
    print("libtorch_cpu" in pathlib.Path("/proc/self/maps").read_text(), gc.isenabled())
    import torch
print(gc.isenabled(), gc.get_freeze_count() > 10_000, float(torch.ones(2) @ torch.ones(2)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_libraries_are_open_before_the_import() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "True", "True", "2.0"]
