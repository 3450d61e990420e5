"""`--mode` and `--compile`: given, remembered, refused, and handed to the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.protocol.modes import MODE_CHOICES
from tui_loraswitch.cli import _parser
from tui_loraswitch.commands.options import given_options, settings_from
from tui_loraswitch.config.config import load_config, remember
from tui_loraswitch.control.load_command import load_command


def test_modes_are_given_or_remembered(config: Path) -> None:
    def settings_of(*words: str) -> Any:
        return settings_from(_parser(words).parse_args(words))

    assert (settings_of().mode, settings_of().compiled) == ("auto", False)
    remember(config, given_options(_parser().parse_args(["--mode", "tiled", "--compile", "on"])))
    assert (load_config(config).mode, load_config(config).compile) == ("tiled", "on")
    assert (settings_of().mode, settings_of().compiled) == ("tiled", True)
    for mode in MODE_CHOICES:
        assert settings_of("--mode", mode).mode == mode
    assert not settings_of("--compile", "off").compiled

    graphs = load_command(settings_of("--compile", "graph"), None)
    assert (graphs.compiled, graphs.graphs) == (False, True)

    command = load_command(settings_of("--mode", "group-offload"), None)
    assert (command.mode, command.compiled) == ("group-offload", True)


def test_modes_that_do_not_exist_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args(["--mode", "lowvram"])
    assert "model-offload" in capsys.readouterr().err
