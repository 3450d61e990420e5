"""Files that are no files, too large, or of no text, in a library: said, and the scan goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from engine.library import read_entry as read_entry_module
from engine.library.index import LibraryIndex
from engine.library.indexed_file import indexed
from engine.library.scan import ScanProgress, scan_folders
from engine.library.sidecars import SIDECAR_ENDINGS
from engine.lora.identify import Outline
from tests.support.bounds import bounded

from .conftest import WriteLora


@pytest.fixture
def index(tmp_path: Path) -> Iterator[LibraryIndex]:
    with LibraryIndex(tmp_path / "index.sqlite") as opened:
        yield opened


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2 << 30)


ODD: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "device": link("/dev/zero"),
    "nowhere": link("nowhere"),
    "loop": link("good.json"),
    "2 GiB": sparse,
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("ending", SIDECAR_ENDINGS)
def test_an_odd_sidecar_is_said_and_nothing_waits_for_it(
    root: Path, index: LibraryIndex, write_lora: WriteLora, ending: str, kind: str
) -> None:
    write_lora("good.safetensors")
    write_lora("other.safetensors")
    sidecar = root / f"good{ending}"
    ODD[kind](sidecar)
    with bounded(2.0, 50):
        good, other = sorted(scan_folders([root], index), key=lambda entry: entry.name)
    assert good.fits_sdxl
    assert other.problems == ()
    if not (kind == "loop" and ending != ".json"):
        (problem,) = good.problems
        assert problem.startswith(f"{sidecar}: ")
    assert {entry.path: entry for entry in index.load([root])}[good.path] == good
    # It may be another one the next time, without a trace.
    if sidecar.is_dir():
        sidecar.rmdir()
    else:
        sidecar.unlink()
    assert [entry.problems for entry in scan_folders([root], index)] == [(), ()]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b"{broken", "no sensible JSON"),
        (b'{"preferred weight": ' + b"9" * 5000 + b"}", "“preferred weight” is not as it should"),
        (b"{" + b'"a":[],' * 1_000_000 + b'"b":1}', "values"),
        ('{"notes": "no mark"}'.encode("utf-16-le"), "no sensible JSON"),
    ],
)
def test_a_sidecar_without_sense_is_said(
    root: Path, index: LibraryIndex, write_lora: WriteLora, content: bytes, words: str
) -> None:
    write_lora("good.safetensors").with_suffix(".json").write_bytes(content)
    with bounded(2.0, 150):
        (entry,) = scan_folders([root], index)
    assert entry.fits_sdxl
    assert words in entry.problems[0]


@pytest.mark.parametrize("kind", ["pipe", "device", "nowhere"])
def test_what_is_called_like_a_lora_and_is_no_file_is_said(
    root: Path, index: LibraryIndex, write_lora: WriteLora, kind: str
) -> None:
    write_lora("good.safetensors")
    odd = root / "odd.safetensors"
    ODD[kind](odd)
    reports: list[ScanProgress] = []
    (entry,) = scan_folders([root], index, reports.append)
    assert entry.name == "good"
    assert [str(odd) in problem for report in reports for problem in report.problems] == [True]


def test_links_in_a_circle_are_walked_once(
    root: Path, index: LibraryIndex, write_lora: WriteLora
) -> None:
    write_lora("a/good.safetensors")
    (root / "a/up").symlink_to("..")
    (root / "a/self").symlink_to(".")
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    reports: list[ScanProgress] = []
    (entry,) = scan_folders([root], index, reports.append)
    assert entry.key == "a/good.safetensors"
    assert len([problem for report in reports for problem in report.problems]) == 2


def test_names_that_are_not_utf8(root: Path, index: LibraryIndex, write_lora: WriteLora) -> None:
    """Old archives have such names: they are listed, kept, and read again only when changed."""
    folder = Path(os.fsdecode(os.fsencode(root) + b"/f\xfcr"))
    folder.mkdir()
    path = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.safetensors"))
    write_lora("plain.safetensors").rename(path)
    path.with_suffix(".json").write_text(json.dumps({"activation text": "caf\udce9"}))
    path.with_suffix(".png").touch()
    (entry,) = scan_folders([root], index)
    assert (entry.name, entry.folder) == ("caf\ufffd", "f\ufffdr")
    assert entry.path == path
    assert entry.previews == (path.with_suffix(".png"),)
    assert entry.trigger_words[0].words == ("caf\ufffd",)
    with LibraryIndex(index.path) as again:
        assert again.load([root]) == [entry]
        (same,) = scan_folders([root], again)
    assert same == entry
    path.with_suffix(".json").write_text(json.dumps({"activation text": "tea"}))
    (changed,) = scan_folders([root], index)
    assert changed.trigger_words[0].words == ("tea",)


def test_a_fault_that_one_file_brings_out_is_its_own(
    root: Path, index: LibraryIndex, write_lora: WriteLora, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = read_entry_module.identity_of

    def identity_of(outline: Outline, metadata: Mapping[str, str]) -> object:
        if metadata.get("odd"):
            raise RecursionError("an odd file")
        return real(outline, metadata)

    monkeypatch.setattr(read_entry_module, "identity_of", identity_of)
    write_lora("good.safetensors")
    write_lora("odd.safetensors", odd="1")
    good, odd = sorted(scan_folders([root], index), key=lambda entry: entry.name)
    assert good.error == ""
    assert odd.error == "odd.safetensors: reading it failed; the log file has the details."


def test_an_entry_without_sense_in_the_index_is_read_again(
    root: Path, index: LibraryIndex, write_lora: WriteLora
) -> None:
    write_lora("a.safetensors")
    (entry,) = scan_folders([root], index)
    index.store([indexed("", replace(entry, tags=(("a\nb", 1),)))])
    with LibraryIndex(index.path) as again:
        assert scan_folders([root], again) == [entry]


def test_many_trigger_words_and_tags_take_no_time(
    root: Path, index: LibraryIndex, write_lora: WriteLora
) -> None:
    words = [f"word {number}" for number in range(400_000)]
    path = write_lora("a.safetensors", **{"modelspec.tags": ",".join(words)})
    path.with_suffix(".civitai.info").write_text(json.dumps({"trainedWords": words}))
    with bounded(2.0, 200):
        (entry,) = scan_folders([root], index)
    assert len(entry.trigger_words[0].words) == 50
    assert len(entry.tags) == 60
