"""What all commands share: help, version, log."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path

import pytest

from tui_loraswitch.cli import main
from tui_loraswitch.commands.log_file import log_to_file


def test_help_names_the_files_and_the_exit_codes(config: Path, capsys) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    for words in (str(config), "loraswitch.log", "./outputs", "examples:", "130", "--demo"):
        assert words in text


@pytest.mark.parametrize("name", ["generate", "list", "inspect", "sweep", "verify", "bench"])
def test_each_command_has_help_that_fits_80_columns(name: str, capsys) -> None:
    with pytest.raises(SystemExit) as leaving:
        main([name, "--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    assert f"  loraswitch {name} " in text, "an example"
    assert "exit codes:" in text
    assert max(map(len, text.splitlines())) <= 80


def test_version_names_what_is_in_use(capsys) -> None:
    assert main(["--version"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("loraswitch ")
    assert "torch 2" in out
    assert "textual" in out


def test_logs_and_warnings_go_to_the_file_and_not_to_the_screen(tmp_path: Path, capsys) -> None:
    path = tmp_path / "deep" / "own.log"
    before = list(logging.getLogger().handlers)
    with log_to_file(path):
        logging.getLogger("some.library").warning("a library speaks")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("python warns", stacklevel=1)
    assert logging.getLogger().handlers == before
    assert "a library speaks" in path.read_text()
    assert "python warns" in path.read_text()
    assert capsys.readouterr().err == ""


def test_a_log_that_cannot_be_kept_is_said(home: Path, loras: Path, capsys) -> None:
    Path(os.environ["XDG_STATE_HOME"]).write_text("a file where the folder should be")
    assert main(["list", "--loras", str(loras)]) == 0
    output = capsys.readouterr()
    assert "No log is kept" in output.err
    assert "styles/neon" in output.out


def test_what_the_system_refuses_is_one_sentence(tmp_path: Path, monkeypatch, capsys) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for words in (["list"], ["list", "--loras", "here"]):
        assert main(words) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.startswith("loraswitch: The system refused")
        assert output.err.count("\n") == 1
