"""What costs a torch import; who may import whom is in pyproject.toml, for import-linter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "diffusers", "transformers", "safetensors", "accelerate")


def test_protocol_session_clients_and_host_cost_no_torch() -> None:
    modules = (
        *("engine", "engine.library", "engine.session", "engine.host.process"),
        *("engine.protocol.codec", "engine.protocol.advance", "engine.client.blocking"),
        *("engine.client.remote", "engine.client.spawn"),
    )
    code = (
        f"import sys, {', '.join(modules)};print([name for name in {HEAVY} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.strip() == "[]"
