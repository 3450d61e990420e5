"""`loraswitch doctor`: what it finds, and what it says to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from engine.monitor.nvml import Nvml
from engine.monitor.reading import GpuReading
from tests.support.bounds import bounded
from tests.tui.conftest import loras  # noqa: F401
from tests.tui.conftest import settings as app_settings  # noqa: F401
from tui_loraswitch.cli import main
from tui_loraswitch.control import doctor_machine
from tui_loraswitch.control.doctor_files import examine_files
from tui_loraswitch.control.doctor_machine import examine_machine
from tui_loraswitch.control.doctor_terminal import PASSTHROUGH, examine_terminal
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.images.tmux import Tmux

COLOURS = {"COLORTERM": "truecolor", "TERM": "xterm-256color"}


def terminal(images: TerminalImages, tmux: Tmux | None = None, **environment: str):
    return {f.subject: f for f in examine_terminal(images, tmux, COLOURS | environment)}


def test_tmux_that_lets_no_pictures_through_is_told_the_line_that_helps():
    found = terminal(TerminalImages("halfcell"), Tmux("3.4", "kitty(0.35)", False))
    assert found["tmux"].grade == "hint"
    assert PASSTHROUGH in found["tmux"].advice
    old = terminal(TerminalImages("halfcell"), Tmux("3.2a", "kitty(0.35)", False))
    assert "too old" in old["tmux"].words
    good = terminal(TerminalImages("kitty", in_tmux=True), Tmux("3.4", "kitty(0.35)", True))
    assert (good["tmux"].grade, good["pictures"].grade) == ("good", "good")
    ascii = terminal(TerminalImages("halfcell"), Tmux("3.4", "kitty(0.35)", True, has_utf8=False))
    assert "tmux -u" in ascii["tmux"].advice
    other = terminal(TerminalImages("halfcell"), Tmux("3.4", "xterm-256color", True))
    assert "Kitty (0.28 and later) or Ghostty" in other["tmux"].advice
    colourless = terminal(
        TerminalImages("halfcell"), Tmux("3.4", "kitty(0.35)", True), NO_COLOR="1"
    )
    assert "NO_COLOR" in colourless["pictures"].advice
    assert colourless["tmux"].grade == "good"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"NO_COLOR": "1"}, "NO_COLOR"),
        ({"COLORTERM": ""}, "256"),
        ({"COLORTERM": "", "TERM": "linux"}, "16"),
    ],
)
def test_colours_by_the_environment(environment, words):
    found = terminal(TerminalImages("sixel"), **environment)["colours"]
    assert words in found.words
    assert found.advice
    assert terminal(TerminalImages("sixel"))["colours"].grade == "good"


def test_mosh_and_screen_are_named():
    found = terminal(TerminalImages("halfcell"), MOSH_KEY="x", TERM="screen.xterm")
    assert {"mosh", "screen"} <= set(found)


@pytest.mark.parametrize(
    ("answer", "grade", "words"),
    [
        ("12.8\nRTX 4090\n", "good", "sees RTX 4090"),
        ("\n\n", "bad", "built for CPUs"),
        ("12.8\n\n", "bad", "sees no GPU"),
    ],
)
def test_pytorch_is_asked_whether_it_sees_the_gpu(monkeypatch, answer, grade, words):
    reading = GpuReading("RTX 4090", 1 << 30, 24 << 30, 3, 40, None, None)
    monkeypatch.setattr(Nvml, "read", lambda self: reading)
    done = subprocess.CompletedProcess([], 0, answer, "")
    monkeypatch.setattr(doctor_machine.subprocess, "run", lambda *a, **k: done)
    found = {finding.subject: finding for finding in examine_machine()}
    assert found["GPU"].words == "RTX 4090, 24.0 GiB"
    assert found["CUDA"].grade == grade
    assert words in found["CUDA"].words


def test_without_a_gpu_nothing_is_asked_and_torch_is_not_imported():
    code = (
        "import sys\n"
        "from tui_loraswitch.control.doctor_machine import examine_machine\n"
        "list(examine_machine())\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_folders_that_are_not_there_are_named(app_settings, tmp_path: Path):  # noqa: F811
    changed = structs.replace(app_settings, loras=(*app_settings.loras, tmp_path / "gone"))
    found = list(examine_files(changed, [tmp_path / "state" / "x.json"]))
    words = {finding.words: finding.grade for finding in found}
    assert words[f"{tmp_path / 'gone'} is not there"] == "bad"
    assert words[f"{app_settings.loras[0]}: 6 files"] == "good"
    assert any(str(tmp_path / "state") in line and grade == "good" for line, grade in words.items())


def test_links_in_circles_are_walked_once(app_settings, tmp_path: Path):  # noqa: F811
    top = tmp_path / "library"
    for folder in (top / "a", top / "b"):
        folder.mkdir(parents=True)
        (folder / "x.safetensors").write_bytes(b"")
        for number in range(3):
            (folder / f"link {number}").symlink_to(top)
    with bounded(2.0):
        found = list(examine_files(structs.replace(app_settings, loras=(top,)), []))
    assert f"{top}: 2 files" in [finding.words for finding in found]


def test_the_exit_code_says_whether_something_will_not_work(tmp_path, monkeypatch, capsys):
    for name in ("CONFIG", "STATE", "CACHE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(Nvml, "read", lambda self: None)
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 0
    assert "· model       none was chosen" in capsys.readouterr().out
    config = tmp_path / "CONFIG" / "loraswitch" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('model = "/nowhere.safetensors"\n')
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {"subject": "model", "grade": "bad"}.items() <= next(
        one for one in found if one["subject"] == "model"
    ).items()
    config.write_text("model = 3\n")
    assert main(["doctor"]) == 1
    assert "config.toml" in capsys.readouterr().out
