"""What all commands share: help, version, log."""

from __future__ import annotations

import errno
import logging
import os
import shlex
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from tui_loraswitch.cli import main
from tui_loraswitch.commands.log_file import log_to_file
from tui_loraswitch.commands.outcome import refused
from tui_loraswitch.commands.places import log_path, store_path


def socket_at(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)
    os.chdir(before)


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


@pytest.mark.parametrize("make", [os.mkfifo, socket_at])
def test_a_pipe_in_the_place_of_the_log_is_not_waited_for(
    make: Callable[[Path], None], loras: Path, capsys
) -> None:
    log_path().parent.mkdir(parents=True)
    make(log_path())
    assert main(["list", "--loras", str(loras)]) == 0
    output = capsys.readouterr()
    assert (
        f"No log is kept in {log_path()}: this is not a file but a pipe or a socket." in output.err
    )
    assert "styles/neon" in output.out


def test_a_damaged_store_is_said_and_kept(loras: Path, capsys) -> None:
    """It holds recipes, and the user's own words."""
    store_path().parent.mkdir(parents=True)
    for number, words in enumerate((["recipes"], ["list", "--loras", str(loras)])):
        store_path().write_bytes(b"this is no database" * 100)
        assert main(words) == 0
        kept = "loraswitch.db.damaged" + ("-1" if number else "")
        assert f"is begun; the old file is kept as {kept}." in capsys.readouterr().err
        assert main(words) == 0
        assert capsys.readouterr().err == ""


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


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EBADF, "Bad", 3), "refused what was asked for: Bad."),
        (OSError(errno.EACCES, "No", b"/a"), "refused what was asked for: /a: No."),
    ],
)
def test_what_the_system_refuses_is_said_whatever_it_names(
    error: OSError, said: str, capsys
) -> None:
    assert refused(error) == 2
    assert capsys.readouterr().err == f"loraswitch: The system {said}\n"


def test_a_child_has_the_streams_that_were_closed() -> None:
    child = "import os; [os.fstat(number) for number in range(3)]"
    parent = (
        "import subprocess, sys; from tui_loraswitch.commands import outcome; "
        "outcome.open_what_is_closed(); "
        f"sys.exit(subprocess.run([sys.executable, '-c', {child!r}]).returncode)"
    )
    command = f"exec {sys.executable} -c {shlex.quote(parent)} <&- >&- 2>&-"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run(["sh", "-c", command], env=environment, timeout=60).returncode == 0


@pytest.mark.parametrize("closed", ["0", "1", "2", "01", "12", "012"])
def test_closed_streams_lead_nowhere(closed: str, loras: Path, tmp_path: Path) -> None:
    """Python has no stream then, and the number would be that of the next file."""
    redirected = " ".join(f"{number}{'<' if number == '0' else '>'}&-" for number in closed)
    kept = "".join(f" {number}>{tmp_path / number}" for number in "12" if number not in closed)
    command = (
        f"exec {sys.executable} -m tui_loraswitch list neon --loras {loras}{kept} {redirected}"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run(["sh", "-c", command], env=environment, timeout=60).returncode == 0
    for number, shown in (("1", "styles/neon"), ("2", "")):
        if number not in closed:
            assert shown in (tmp_path / number).read_text()
            assert "fault" not in (tmp_path / number).read_text()


def test_without_stdin_the_app_says_that_it_needs_a_terminal(tmp_path: Path) -> None:
    command = f"exec {sys.executable} -m tui_loraswitch --demo <&- 2>{tmp_path / '2'}"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run(["sh", "-c", command], env=environment, timeout=60).returncode == 2
    assert "The app needs a terminal" in (tmp_path / "2").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["--version"]])
def test_output_that_finds_no_room_is_said(words: list[str], loras: Path) -> None:
    command = [sys.executable, "-m", "tui_loraswitch", "--loras", str(loras), *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, env=environment, timeout=60, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr == "loraswitch: Nothing more can be written: No space left on device.\n"
