"""A process beside this one looks through the library, and finds what is found without it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.library import scan, scan_process
from engine.library import service as service_module
from engine.library.index import LibraryIndex
from engine.library.pipes import start_process
from engine.library.scan import ScanProgress, refresh
from engine.library.scan_process import refresh_beside

from .conftest import WriteLora


@pytest.fixture
def library(root: Path, write_lora: WriteLora) -> Path:
    for number in range(5):
        write_lora(f"sub/{number}.safetensors", **{"modelspec.title": f"Number {number}"})
    raw = os.fsencode(root) + b"/caf\xe9.safetensors"
    write_lora("plain.safetensors").rename(os.fsdecode(raw))
    return root


class Here:
    """Fails where this process looks itself."""

    def __call__(self, *_: object) -> None:
        raise AssertionError("this process looks itself")


def no_stop() -> bool:
    return False


def entries(index: LibraryIndex, root: Path) -> list[dict[str, object]]:
    return [{**vars(entry), "added_ns": 0} for entry in index.load([root])]


def test_it_finds_what_is_found_here(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LibraryIndex(tmp_path / "here.sqlite") as here:
        refresh([library], here)
        wanted = entries(here, library)
    monkeypatch.setattr(scan_process, "refresh", Here())
    told: list[ScanProgress] = []
    with LibraryIndex(tmp_path / "beside.sqlite") as index:
        refresh_beside([library], index, told.append, no_stop)
        assert entries(index, library) == wanted
        assert {row.id for one in told for row in one.found} == {
            row.id for columns in index.listed([library])[1].values() for row in columns.rows(0)
        }
        assert (told[-1].done, told[-1].total) == (6, 6)

        told.clear()
        (library / "sub/3.safetensors").unlink()
        gone = {
            file.id
            for path, file in index.known(library).items()
            if path.endswith("/3.safetensors")
        }
        refresh_beside([library], index, told.append, no_stop)
        assert {id for one in told for id in one.gone} == gone
        assert len(entries(index, library)) == 5

        told.clear()
        shutil.move(library, tmp_path / "away")
        refresh_beside([library], index, told.append, no_stop)
        reasons = {reason for one in told for reason in one.missing.values()}
        assert len(reasons) == 1
        assert "is its drive mounted?" in reasons.pop()
        assert len(entries(index, library)) == 5


def killed(module: str) -> subprocess.Popen[bytes]:
    process = start_process(module)
    process.kill()
    return process


def none(module: str) -> subprocess.Popen[bytes]:
    raise OSError("no more processes")


@pytest.mark.parametrize("start", [killed, none])
def test_what_it_leaves_is_looked_at_here(
    start: object, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_process, "start_process", start)
    told: list[ScanProgress] = []
    with LibraryIndex(tmp_path / "index.sqlite") as index:
        refresh_beside([library], index, told.append, no_stop)
        assert len(entries(index, library)) == 6
    assert sum(len(one.found) for one in told) == 6


def test_an_index_in_memory_is_filled_here(library: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told: list[ScanProgress] = []
    with LibraryIndex(tmp_path / "file" / "index.sqlite") as index:
        assert index.warning
        refresh_beside([library], index, told.append, no_stop)
        assert len(entries(index, library)) == 6


def test_it_ends_when_it_is_to_stop(library: Path, tmp_path: Path) -> None:
    told: list[ScanProgress] = []
    with LibraryIndex(tmp_path / "index.sqlite") as index:
        refresh_beside([library], index, told.append, lambda: bool(told))
    assert len(told) == 1


@pytest.mark.parametrize("large", [7, 3])
@pytest.mark.parametrize("is_known", [False, True])
def test_a_large_library_is_looked_through_beside(
    large: int, is_known: bool, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that proves to be large; a small one is done before a process has started."""
    by: list[str] = []
    for name, real in (("refresh", refresh), ("refresh_beside", refresh_beside)):

        def noted(*arguments: object, name: str = name, real: Callable[..., None] = real) -> None:
            by.append(name)
            real(*arguments)

        monkeypatch.setattr(service_module, name, noted)
    monkeypatch.setattr(service_module, "_LARGE", large)
    monkeypatch.setattr(scan, "_LISTED_BETWEEN_REPORTS", 1)
    with LibraryIndex(tmp_path / "index.sqlite") as index:
        if is_known:
            refresh([library], index)
        service = service_module.LibraryService(index, [library], Listener())
        service._show_known()
        service._scan(was_asked=False)
        assert len(service._list) == len(entries(index, library)) == 6
    here, beside = ["refresh"], ["refresh_beside"]
    assert by == (here if large == 7 else beside if is_known else here + beside)


class Listener:
    def on_library(self, *_: object) -> None: ...

    def on_progress(self, *_: object) -> None: ...

    def on_problem(self, *_: object) -> None: ...

    def on_news(self, *_: object) -> None: ...
