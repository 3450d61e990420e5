"""`loraswitch sweep`: all cells, each drawn once, whatever happens in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine.host.saved import read_saved
from tests.cli.terminal import ROOT
from tui_loraswitch.cli import main
from tui_loraswitch.commands import engine_run
from tui_loraswitch.commands.places import host_state_path

PATIENCE = 60.0
PLAN = """\
prompt = "a red fox"
steps = {steps}
sampler = "Euler"
size = 64
[axes]
lora = ["", "neon"]
strength = [0.5, 1.5]
seed = [1, 2]
"""
"""Without a LoRA the strength makes no difference: 8 cells, 6 pictures, 3 stacks."""


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not end the test run in place of the engine."""
    monkeypatch.setattr(engine_run, "CLOSE_SECONDS", 60.0)


@pytest.fixture
def own(tiny_checkpoint: Path, tiny_loras: Path) -> list[str]:
    return ["--model", str(tiny_checkpoint), "--loras", str(tiny_loras)]


@pytest.fixture
def plan(home: Path) -> Path:
    path = home / "foxes.toml"
    path.write_text(PLAN.format(steps=1))
    return path


def pixels(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted((folder / "cells").glob("*.png")):
        with Image.open(path) as image:
            found[path.stem] = image.tobytes()
    return found


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "cells.jsonl").read_text().splitlines()]


def test_all_cells_are_drawn_once_and_the_next_time_none(
    plan: Path, own: list[str], home: Path, loads: list[object], tmp_path: Path, capsys
) -> None:
    words = ["sweep", str(plan), *own, "--json"]
    assert main([*words, "--json-lines", "--device", "cpu"]) == 0
    *progress, said = map(json.loads, capsys.readouterr().out.splitlines())
    assert {line["drawn"] for line in progress} >= set(range(2, 8, 2))
    assert {"neon" in line["now"] for line in progress} == {True, False}
    folder = home / "outputs/foxes"
    assert said["folder"] == str(folder)
    assert (said["cells"], said["drawn"], said["found"]) == (8, 8, 0)
    assert said["switches"] == 2
    drawn = pixels(folder)
    assert len(drawn) == 8
    assert len(set(drawn.values())) == 6
    assert drawn["lora-base_strength-0.5_seed-1"] == drawn["lora-base_strength-1.5_seed-1"]
    assert {line["file"] for line in lines(folder)} == {f"cells/{name}.png" for name in drawn}
    assert Path(said["grid"][0]).is_file()

    # A cell is the picture that `generate` draws of the same.
    assert main(["generate", "a red fox", *own, "--device", "cpu", "--steps", "1", "--sampler",
                 "Euler", "--width", "64", "--height", "64", "--seed", "2", "--lora", "neon:1.5",
                 "--output", str(tmp_path / "out")]) == 0  # fmt: skip
    with Image.open(capsys.readouterr().out.strip()) as image:
        assert image.tobytes() == drawn["lora-neon_strength-1.5_seed-2"]

    # All there: no model is loaded. One spoilt: that one is drawn.
    count = len(loads)
    assert main([*words, "--device", "cpu"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["drawn"], said["found"], len(loads)) == (0, 8, count)
    spoilt = folder / "cells/lora-neon_strength-0.5_seed-1.png"
    spoilt.write_bytes(spoilt.read_bytes()[:-20])
    assert main([*words, "--device", "cpu"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["drawn"], said["switches"], len(loads)) == (1, 1, count + 1)
    assert pixels(folder) == drawn
    assert len(lines(folder)) == 8


def test_killed_with_its_host_it_goes_on(
    plan: Path, own: list[str], home: Path, tmp_path: Path, capsys
) -> None:
    plan.write_text(PLAN.format(steps=8))
    words = ["sweep", str(plan), *own, "--out", str(tmp_path / "killed"), "--json"]
    program = [sys.executable, "-m", "tui_loraswitch"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert main(["serve", "--detach", *own[:2], "--device", "cpu"]) == 0
    client = subprocess.Popen([*program, *words], env=environment, stdout=subprocess.DEVNULL)
    record = tmp_path / "killed/cells.jsonl"
    end = time.monotonic() + PATIENCE
    while not (record.exists() and record.read_bytes().count(b"\n") >= 3):
        assert time.monotonic() < end
        assert client.poll() is None
        time.sleep(0.01)
    capsys.readouterr()
    assert main(["status", "--json"]) == 0
    (host,) = json.loads(capsys.readouterr().out)
    client.kill()
    os.kill(host["pid"], signal.SIGKILL)
    client.wait()
    before = lines(tmp_path / "killed")

    assert main([*words, "--own-engine", "--device", "cpu"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["found"] >= len(before)
    assert said["drawn"] + said["found"] == 8
    left = read_saved(host_state_path("cpu")).jobs
    assert not [job for job in left if job.id.startswith("sweep-")]
    after = lines(tmp_path / "killed")
    assert after[: len(before)] == before
    assert len({line["file"] for line in after}) == len(after) == 8

    unbroken = ["--out", str(tmp_path / "unbroken"), "--own-engine", "--device", "cpu"]
    assert main(["sweep", str(plan), *own, *unbroken]) == 0
    assert pixels(tmp_path / "killed") == pixels(tmp_path / "unbroken")
    by_file = {line["file"]: line for line in lines(tmp_path / "unbroken")}
    assert {line["file"]: line for line in after} == by_file


def test_a_host_draws_the_cells(host, plan: Path, own: list[str], home: Path, capsys) -> None:
    assert main(["sweep", str(plan), *own]) == 0
    out = capsys.readouterr().out
    assert "8 cells drawn, 2 switches" in out
    assert str(home / "outputs/foxes/grid.png") in out
    assert not host.host.session.view.jobs
    assert host.host.session.view.wanted == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('prompt = "x"\n[axes]\nlora = ["nothing_like_it"]', "no LoRA"),
        ('prompt = "x"\n[axes]\nfilter = "nothing_like_it"', "nothing_like_it"),
        ('prompt = "x"\n[axes]\nsteps = [0]', "1 to 500 steps"),
        ('prompt = "x"\n[axes]\nseed = ["a"]', "line 3"),
        ('prompt = "x <lora:none_of_these:1>"\n[axes]\nseed = [1]', "no LoRA"),
        ('prompt = "x"\n[axes]\nlora = ["neon"]\nblocks = ["1,2"]', "Block weights"),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_once(
    plan: Path, own: list[str], text: str, words: str, capsys
) -> None:
    plan.write_text(text)
    assert main(["sweep", str(plan), *own]) == 2
    said = capsys.readouterr().err
    assert "foxes.toml" in said
    assert words in said


def test_search_words_find_the_loras(plan: Path, own: list[str], host, home: Path, capsys) -> None:
    plan.write_text('prompt = "x"\nsteps = 1\nsize = 64\n[axes]\nfilter = "folder:styles"\n')
    assert main(["sweep", str(plan), *own, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["drawn"] == 2
    assert [line["axes"]["lora"] for line in lines(home / "outputs/foxes")] == ["ink", "wash"]
