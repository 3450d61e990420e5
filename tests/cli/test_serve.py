"""`loraswitch serve`: what a host in the background is given, and a real one with the demo."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from engine.generate.save import read_infotext
from engine.host.runtime import living_hosts
from tui_loraswitch.cli import _parser, main
from tui_loraswitch.commands.options import add_model_options


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines of hosts that are not started."""
    seen: list[list[str]] = []

    def spawn(place: object, arguments: list[str], log: Path) -> None:
        seen.append(list(arguments))

    monkeypatch.setattr("engine.client.spawn.spawn_host", spawn)
    return seen


def options_of_models() -> set[str]:
    parser = argparse.ArgumentParser()
    add_model_options(parser)
    return {action.dest for action in parser._actions} - {"help"}


def test_every_option_of_a_model_is_passed_on(tiny_checkpoint, spawned, monkeypatch) -> None:
    monkeypatch.chdir(tiny_checkpoint.parent)
    name = tiny_checkpoint.name
    words = ["--model", name, "--device", "cpu", "--dtype", "bfloat16", "--backup", "file"]
    words += ["--mode", "tiled", "--compile", "off", "--vae", name, "--parts-from", name]
    words += ["--vae-dtype", "bfloat16", "--prediction", "v-zsnr", "--idle", "7.5"]
    assert main(["serve", "--detach", *words]) == 0
    assert main(["serve", "--detach", "--demo"]) == 0
    given, demo = (vars(_parser(each).parse_args(each)) for each in spawned)
    asked: dict[str, Any] = vars(_parser(["serve"]).parse_args(["serve", *words]))
    # The host is started in another folder.
    assert given["model"] == given["vae"] == given["parts_from"] == tiny_checkpoint
    assert given == asked
    assert demo["demo"] is True
    assert options_of_models() <= set(given) | {"demo"}


@pytest.mark.parametrize(
    ("text", "words", "minutes"),
    [
        ("", (), 60),
        ("idle_minutes = 5\n", (), 5),
        ("idle_minutes = 5\n", ("--idle", "0"), 0),
    ],
)
def test_how_long_it_goes_on_without_anybody(config, monkeypatch, text, words, minutes) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        "engine.host.process.run_host", lambda place, options: seen.append(options) or True
    )
    config.write_text(text)
    assert main(["serve", "--for-app", *words]) == 0
    assert [options.idle_minutes for options in seen] == [minutes]


def test_where_the_logout_ends_it_that_is_said(spawned, monkeypatch, capsys) -> None:
    monkeypatch.setattr("engine.host.logout.logout_warning", lambda: "enable-linger keeps them.")
    assert main(["serve", "--detach", "--demo"]) == 0
    assert "enable-linger keeps them." in capsys.readouterr().err


def test_a_host_with_the_demo_from_start_to_end(home: Path, config: Path, capsys) -> None:
    assert main(["serve", "--detach", "--demo"]) == 0
    assert main(["serve", "--detach", "--demo"]) == 1
    assert "runs already" in capsys.readouterr().err
    small = ("--steps", "1", "--width", "64", "--height", "64")
    # Nothing said here has to do with the demo: its LoRAs are known since the host has it.
    config.write_text('model = "/models/another.safetensors"\n')
    assert main(["generate", "a star <lora:neon_glow:0.5>", "--seed", "3", *small]) == 0
    (path,) = capsys.readouterr().out.splitlines()
    assert Path(path) == home / "outputs/00001-3.png"
    assert "<lora:neon_glow:0.5>" in (read_infotext(Path(path)) or "")
    assert main(["switch", "neon_glow:0.5"]) == 0
    assert main(["status", "--json"]) == 0
    shown = capsys.readouterr().out
    (status,) = json.loads(shown[shown.index("[") :])
    assert (status["model_name"], status["by_hand"]) == ("loraswitch_demo", True)
    assert [member["name"] for member in status["stack"]] == ["neon_glow"]
    assert main(["stop"]) == 0
    assert living_hosts() == []
