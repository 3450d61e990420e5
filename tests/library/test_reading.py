"""What takes long is read by processes beside this one, which find what is found without them."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from engine.library import reading, scan
from engine.library.index import LibraryIndex
from engine.library.reader_process import ReaderProcess, Unread
from engine.library.scan import scan_folders
from engine.library.walk import Walk

from .conftest import WriteLora


@pytest.fixture
def odd_library(root: Path, write_lora: WriteLora) -> Path:
    for number in range(7):
        write_lora(f"sub/{number}.safetensors", **{"modelspec.title": f"Number {number}"})
    (root / "sub/1.json").write_text('{"activation text": "caf\\udce9", "preferred weight": 0.5}')
    (root / "sub/2.json").write_text("{broken")
    (root / "cut.safetensors").write_bytes((root / "sub/3.safetensors").read_bytes()[:-9])
    raw = os.fsencode(root) + b"/caf\xe9.safetensors"
    write_lora("plain.safetensors").rename(os.fsdecode(raw))
    Path(os.fsdecode(raw.replace(b".safetensors", b".png"))).touch()
    return root


def scanned(folder: Path, index: Path) -> list[object]:
    with LibraryIndex(index) as opened:
        entries = [vars(entry) for entry in scan_folders([folder], opened)]
    return [{**values, "added_ns": 0} for values in entries]


def test_processes_find_what_is_found_here(
    odd_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = scanned(odd_library, tmp_path / "here.sqlite")
    monkeypatch.setattr(reading, "_SLOW", -1.0)
    monkeypatch.setattr(reading, "_LONG", -1.0)
    monkeypatch.setattr(scan, "BATCH", 2)
    monkeypatch.setattr(reading, "read_entry", None)
    assert scanned(odd_library, tmp_path / "beside.sqlite") == here
    assert len(here) == 9


def test_what_a_killed_process_leaves_is_read_here(
    odd_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = scanned(odd_library, tmp_path / "here.sqlite")

    class Killed(ReaderProcess):
        def __init__(self) -> None:
            super().__init__()
            self._process.kill()

    monkeypatch.setattr(reading, "_SLOW", -1.0)
    monkeypatch.setattr(reading, "_LONG", -1.0)
    monkeypatch.setattr(reading, "ReaderProcess", Killed)
    assert scanned(odd_library, tmp_path / "beside.sqlite") == here


def test_what_a_process_has_for_the_log_is_in_the_log(
    root: Path, write_lora: WriteLora, caplog: pytest.LogCaptureFixture
) -> None:
    sidecar = write_lora("a.safetensors").with_suffix(".json")
    sidecar.write_text("{}")
    ((found,),) = Walk(root)
    # For this ending there is no reader.
    odd = found._replace(sidecars=((".unheard of", sidecar),))
    process = ReaderProcess()
    try:
        with caplog.at_level(logging.ERROR):
            files = process.read([Unread(odd, 1, False), Unread(found, 1, False)])
    finally:
        process.end()
    assert files is not None
    assert ["reading it failed" in file.row.error for file in files] == [True, False]
    assert "KeyError" in caplog.text
