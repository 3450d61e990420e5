"""The library, the header reader and the monitor start fast: they import no torch."""

import subprocess
import sys

CODE = """
import sys, engine.library, engine.monitor, engine.lora.identify
heavy = {"torch", "numpy", "textual", "pynvml", "tui_loraswitch"} & set(sys.modules)
assert not heavy, heavy
"""


def test_no_torch_and_no_terminal_library() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True, timeout=60)
