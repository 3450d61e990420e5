"""What a node says of what lies there; nothing of Ray is imported without the option."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from engine.cluster.model_digest import model_digest
from engine.cluster.nodes import Found, Node, look
from engine.proof.contents import FileContents
from tests.cli.terminal import ROOT
from tui_loraswitch.commands.nodes import _row


def test_a_node_compares_what_it_has(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path
) -> None:
    digest = model_digest(tiny_checkpoint, FileContents())
    neon = tiny_loras / "neon.safetensors"
    sizes = {neon: neon.stat().st_size, tmp_path / "none.safetensors": 3}
    index, cache = tmp_path / "index", tmp_path / "cache"
    (cache / "abc").mkdir(parents=True)
    shutil.copy(neon, cache / "abc")

    found = look(tiny_checkpoint, digest, sizes, index, cache)
    assert (found.model, found.loras, found.kept) == ("the same", 1, 1)
    assert look(neon, digest, sizes, index, cache).model == "another"
    assert look(tmp_path / "none", digest, sizes, index, cache).model == "not there"


def test_a_row_for_each_node() -> None:
    resources = {"CPU": 16.0, "GPU": 2.0, "memory": 1e9}
    row = _row(Node("10.0.0.5", resources, Found("box", "0.1.0", "the same", 9, 1)), 10)
    assert row.startswith("box 10.0.0.5 16 CPU, 2 GPU")
    assert "model: the same" in row
    assert "LoRAs: 9 of 10 here, 1 sent" in row
    assert "no answer: it hangs" in _row(Node("10.0.0.6", {}, fault="it hangs"), 10)


def test_nothing_of_ray_is_imported_without_the_option() -> None:
    code = """
import sys
from tui_loraswitch.cli import _parser
for name in ("sweep", "tour"):
    _parser([name])
assert not {"ray", "torch", "engine.cluster"} & set(sys.modules), sys.modules.keys()
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
