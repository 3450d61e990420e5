"""A sweep on Ray, here: the same pixels as without; a worker is killed, and the driver."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from PIL import Image

from engine.cluster.nodes import ask_nodes
from engine.cluster.start import cluster, import_ray
from tests.cli.conftest import home as home
from tests.cli.conftest import runtime as runtime
from tests.cli.terminal import ROOT
from tui_loraswitch.cli import main

pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")

PATIENCE = 120.0
PLAN = """\
prompt = "a red fox"
steps = 6
sampler = "Euler"
size = 64
[axes]
lora = ["neon", "ink"]
strength = [0.5, 1.0]
seed = [1, 2]
"""


@pytest.fixture(autouse=True)
def no_niceness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's workers let everything else go first: beside other tests they would get nowhere."""
    monkeypatch.setenv("RAY_worker_niceness", "0")


def cells(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted((folder / "cells").glob("*.png")):
        with Image.open(path) as image:
            found[path.stem] = image.tobytes() + image.info["parameters"].encode()
    return found


def drawn(folder: Path) -> list[str]:
    record = folder / "cells.jsonl"
    text = record.read_text() if record.exists() else ""
    return [json.loads(line)["file"] for line in text.splitlines()]


def until_drawn(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while len(drawn(folder)) < count:
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@contextmanager
def started(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    """The program while it runs; whatever fails, it does not stay."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-m", "tui_loraswitch", *words]
    with subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if any("ray::Actor" in word for word in child.cmdline())
    ]


def test_a_sweep_on_ray_is_the_same_whatever_dies(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path, runtime: Path, capsys
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    own = ["--model", str(tiny_checkpoint), "--loras", str(tiny_loras), "--device", "cpu", "--json"]

    def words(name: str, *more: str) -> list[str]:
        return ["sweep", str(plan), *own, "--out", str(tmp_path / name), *more]

    before_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert main(words("alone", "--own-engine")) == 0
    torch.set_num_threads(before_threads)
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (said["drawn"], said["switches"]) == (8, 4)

    # The driver dies: what it started ends, and the next one goes on.
    with started(words("ray", "--ray", "local", "--workers", "1")) as first:
        until_drawn(tmp_path / "ray", 1, first)
        children = psutil.Process(first.pid).children(recursive=True)
    _, alive = psutil.wait_procs(children, timeout=PATIENCE)
    assert not alive
    before = drawn(tmp_path / "ray")

    # A worker dies: another draws its cell.
    with started(words("ray", "--ray", "local", "--workers", "2", "--json-lines")) as second:
        until_drawn(tmp_path / "ray", len(before) + 1, second)
        os.kill(workers_of(second)[0].pid, signal.SIGKILL)
        *lines, said = map(json.loads, second.communicate(timeout=PATIENCE)[0].splitlines())
    assert second.returncode == 0
    assert said["drawn"] + said["found"] == 8
    assert said["failed"] == []
    assert lines[-1]["drawn"] == 8
    assert any(worker["cell"] for line in lines for worker in line["workers"])
    assert sum(worker["lost"] is not None for worker in said["workers"]) == 1
    after = drawn(tmp_path / "ray")
    assert after[: len(before)] == before
    assert len(set(after)) == len(after) == 8
    assert cells(tmp_path / "ray") == cells(tmp_path / "alone")


def test_without_room_for_a_worker_it_is_said(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path, runtime: Path, capsys
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    words = ["sweep", str(plan), "--model", str(tiny_checkpoint), "--loras", str(tiny_loras)]
    assert main([*words, "--out", str(tmp_path / "out"), "--ray", "10.255.255.1:x"]) == 1
    assert "10.255.255.1:x" in capsys.readouterr().err


def test_nodes_are_asked_what_they_have(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path
) -> None:
    loras = sorted(tiny_loras.rglob("*.safetensors"))
    with cluster("local", 1) as ray:
        (node,) = ask_nodes(ray, tiny_checkpoint, loras, tmp_path / "index", tmp_path / "cache")
    assert not node.fault
    assert node.found is not None
    assert (node.found.model, node.found.loras) == ("the same", len(loras))
    assert node.resources["CPU"] == 1


def test_a_token_for_clusters_is_shown_to_them(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    import_ray()
    assert "RAY_AUTH_MODE" not in os.environ
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    import_ray()
    assert os.environ["RAY_AUTH_MODE"] == "token"
