"""Models are checked in a process of its own: the program that asks needs no torch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.client.model_checks import ModelChecks
from engine.errors import CheckpointError, EngineError


def test_models_are_told_from_others_and_a_check_that_breaks_off_is_said(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path
) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.safetensors")
    odd.symlink_to(tiny_checkpoint)
    with ModelChecks() as checks:
        checks.check(tiny_checkpoint)
        checks.check(odd)
        with pytest.raises(CheckpointError, match="LoRA"):
            checks.check(tiny_loras / "neon.safetensors")
        with pytest.raises(EngineError, match="gone"):
            checks.check(tmp_path / "gone.safetensors")
        checks.check(tiny_checkpoint)
        assert checks._process is not None
        checks._process.send_signal(signal.SIGKILL)
        checks._process.wait()
        with pytest.raises(EngineError, match="broke off"):
            checks.check(tiny_checkpoint)
        checks.check(tiny_checkpoint)
        process = checks._process
    assert process is not None
    assert process.poll() is not None, "it ends with the block"


def test_no_torch_is_imported_here(tiny_checkpoint: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tui_loraswitch.control.model_files import find_models\n"
        f"found = []; find_models([Path({str(tiny_checkpoint.parent)!r})], None, found.append, "
        "lambda: False)\n"
        "print([model.kind for model in found], 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert done.stdout.strip() == "['SDXL'] False"
