"""What is opened of the files that others made: regular ones, at once, and no more than a bound."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import EngineError, FileFormatError
from engine.files.regular_file import open_regular, printable, read_regular


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "there is no such file"),
        (Path.mkdir, "not a file but a folder"),
        (pipe, "not a file but a pipe"),
        (listening, "not a file but a pipe, a socket"),
        (link("/dev/zero"), "a device"),
        (link("/dev/tty"), "a device"),
        (link("nowhere"), "there is no such file"),
        (link("x"), "cannot be read"),
        (link(f"/{'long' * 100}"), "cannot be read"),
    ],
    ids=["missing", "folder", "pipe", "socket", "zero", "terminal", "dangling", "loop", "long"],
)
def test_only_regular_files_are_opened(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "x"
    make(path)
    for read in (open_regular, lambda path: read_regular(path, 10)):
        with pytest.raises(FileFormatError, match=words) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_another_file_in_its_place_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for twice: a pipe that takes the name after the first look is not waited for."""
    path, real = tmp_path / "x", Path.stat
    path.write_text("sound")

    def replaced(self: Path) -> os.stat_result:
        status = real(self)
        path.unlink()
        os.mkfifo(path)
        return status

    monkeypatch.setattr(Path, "stat", replaced)
    with pytest.raises(FileFormatError, match="pipe"):
        open_regular(path)


def test_a_path_that_no_system_has(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="cannot be opened"):
        open_regular(tmp_path / "a\0b")


def test_files_are_read_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to(path)
    assert read_regular(tmp_path / "link", 10) == b"0123456789"
    with pytest.raises(FileFormatError, match=r"too large, 10 bytes where 9 are"):
        read_regular(path, 9)
    with path.open("wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(FileFormatError, match="too large"):
        read_regular(path, 1_000_000)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux has such files")
def test_files_without_a_size_are_empty() -> None:
    """Some of /proc give bytes for ever, and some keep their reader waiting."""
    assert read_regular(Path("/proc/self/status"), 10) == b""


def test_names_in_messages_are_printable(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\x1b[2J"))
    with pytest.raises(FileFormatError) as caught:
        open_regular(path)
    assert str(caught.value).isprintable()
    assert printable(path).endswith("/caf??[2J")


def test_wide_spaces_and_joined_signs_stay_in_names_and_messages() -> None:
    name = "夜\u3000桜\u00a0👩\u200d🎨"
    assert printable(name) == name
    assert str(EngineError(f"{name}:\x1b[31m\u202e\n\ud800")) == f"{name}:?[31m?\n?"
