"""The lines between the packages: who may import whom, and what costs a torch import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "diffusers", "transformers", "safetensors", "accelerate")


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("engine", ("textual", "textual_image", "tui_loraswitch")), ("tui_loraswitch", HEAVY)],
)
def test_packages_keep_to_their_side(package: str, forbidden: tuple[str, ...]) -> None:
    for path in (ROOT / package).rglob("*.py"):
        found = imports(path).intersection(forbidden)
        assert not found, f"{path.relative_to(ROOT)} imports {sorted(found)}"


def test_events_and_session_cost_no_torch() -> None:
    code = (
        "import sys, engine, engine.events, engine.commands, engine.session, engine.library;"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.strip() == "[]"
