"""The version of a file: whatever is done to its content, it becomes another."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.files.file_version import FileVersion


def rewrite(path: Path) -> None:
    path.write_bytes(b"two")


def write_into(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"t")


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"two")
    os.utime(other, ns=(1, 1))
    other.replace(path)


def swap_links(path: Path) -> None:
    """Another file of the same size and age, made beforehand, takes the name."""
    other = path.with_name("other")
    other.write_bytes(b"two")
    os.utime(other, ns=(1, 1))
    path.unlink()
    path.hardlink_to(other)


def swap_and_swap_back(path: Path) -> None:
    kept = path.with_name("kept")
    path.rename(kept)
    rewrite(path)
    kept.replace(path)


def cut_and_fill(path: Path) -> None:
    os.truncate(path, 0)
    rewrite(path)


CHANGES = [rewrite, write_into, replace, swap_links, swap_and_swap_back, cut_and_fill]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_shows_though_size_and_age_stay(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    os.utime(path, ns=(1, 1))
    before = FileVersion.of(path)
    assert FileVersion.of(path) == before
    change(path)
    os.utime(path, ns=(1, 1))
    after = FileVersion.of(path)
    assert (after.size, after.mtime_ns) == (before.size, before.mtime_ns)
    assert after != before


def test_changes_one_right_after_another_are_told_apart(tmp_path: Path) -> None:
    """The system's clock ticks more slowly than a program writes."""
    path = tmp_path / "file"
    seen = set()
    for number in range(20):
        path.write_bytes(bytes([number]))
        os.utime(path, ns=(1, 1))
        seen.add(FileVersion.of(path))
    assert len(seen) == 20


def test_an_open_file_has_the_version_of_its_path(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    with path.open("rb") as file:
        assert FileVersion.of(file.fileno()) == FileVersion.of(path)
        path.unlink()
        assert FileVersion.of(file.fileno()).size == 3


def test_a_file_of_the_future_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waits"))
    assert FileVersion.of(path).size == 3
