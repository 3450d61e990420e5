"""A scan finds every LoRA file once, reads only what changed, and forgets only what is gone."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import engine.library.scan as scan_module
from engine.library import reading
from engine.library.entry import LibraryEntry, TriggerWords
from engine.library.index import LibraryIndex
from engine.library.scan import Look, ScanProgress, refresh_folders, scan_folders
from engine.library.walk import FoundFile

from .conftest import WriteLora


@pytest.fixture
def index(tmp_path: Path) -> Iterator[LibraryIndex]:
    with LibraryIndex(tmp_path / "index.sqlite") as opened:
        yield opened


@pytest.fixture
def headers_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose headers are read, as they are read."""
    names: list[str] = []
    real = reading.read_entry

    def read_entry(found: FoundFile, *more: Any) -> LibraryEntry:
        names.append(found.path.name)
        return real(found, *more)

    monkeypatch.setattr(reading, "read_entry", read_entry)
    return names


def keys(entries: list[LibraryEntry]) -> list[str]:
    return sorted(entry.key for entry in entries)


def test_entry_holds_what_header_and_neighbours_say(
    root: Path, index: LibraryIndex, write_lora: WriteLora
) -> None:
    path = write_lora(
        "styles/neon.safetensors",
        **{"modelspec.title": "Neon", "ss_tag_frequency": '{"d": {"night": 5}}'},
    )
    path.with_name("NEON.png").touch()
    path.with_name("neon.json").write_text(
        json.dumps({"activation text": "neon glow", "preferred weight": 0.7})
    )
    (entry,) = scan_folders([root], index)
    assert entry.key == "styles/neon.safetensors"
    assert (entry.name, entry.folder, entry.error) == ("neon", "styles", "")
    assert entry.size == path.stat().st_size
    assert (entry.family, entry.rank, entry.alpha, entry.modules) == ("LoRA", 4, 2.0, 1)
    assert (entry.base_model, entry.base_evidence) == ("SDXL", "attn2 width 2048")
    assert entry.parts == ("UNet",)
    assert entry.fits_sdxl
    assert entry.title == "Neon"
    assert entry.preferred_strength == 0.7
    assert entry.previews == (path.with_name("NEON.png"),)
    assert entry.tags == (("night", 5),)
    assert entry.trigger_words == (
        TriggerWords("A1111", ("neon glow",)),
        TriggerWords("training tags", ("night",)),
    )
    assert dict(entry.metadata)["modelspec.title"] == "Neon"


def test_finds_any_case_skips_hidden_and_others(
    root: Path, index: LibraryIndex, write_lora: WriteLora
) -> None:
    for name in ("a.safetensors", "sub/B.SafeTensors", ".hidden.safetensors", ".git/c.safetensors",
                 "d.safetensors.part", "e.pt"):  # fmt: skip
        write_lora(name)
    (root / "folder.safetensors").mkdir()
    os.mkfifo(root / "pipe.safetensors")
    assert keys(scan_folders([root], index)) == ["a.safetensors", "sub/B.SafeTensors"]


def test_links_are_followed_once_without_loops(
    root: Path, tmp_path: Path, index: LibraryIndex, write_lora: WriteLora
) -> None:
    write_lora("z/a.safetensors")
    other = tmp_path / "other"
    other.mkdir()
    write_lora("b.safetensors").rename(other / "b.safetensors")
    (root / "0 loop").symlink_to(root)
    (root / "1 double").symlink_to(root / "z")
    (root / "linked").symlink_to(other)
    (other / "back").symlink_to(root)
    (root / "c.safetensors").symlink_to(other / "b.safetensors")
    (root / "self").symlink_to(root / "self")
    found = keys(scan_folders([root], index))
    assert found == ["c.safetensors", "linked/b.safetensors", "z/a.safetensors"]


def test_library_folders_inside_one_another_give_no_file_twice(
    root: Path, index: LibraryIndex, write_lora: WriteLora
) -> None:
    write_lora("sub/a.safetensors")
    assert len(scan_folders([root / "sub"], index)) == 1
    found = scan_folders([root, root / "sub", root], index)
    assert keys(found) == ["sub/a.safetensors"]
    assert not found[0].error


def test_second_scan_reads_no_header(
    root: Path, index: LibraryIndex, write_lora: WriteLora, headers_read: list[str]
) -> None:
    for number in range(5):
        write_lora(f"{number}.safetensors")
    first = scan_folders([root], index)
    assert len(headers_read) == 5
    headers_read.clear()
    assert sorted(scan_folders([root], index), key=lambda e: e.key) == first
    assert headers_read == []


def test_changes_are_noticed(
    root: Path, index: LibraryIndex, write_lora: WriteLora, headers_read: list[str]
) -> None:
    for name in ("same", "older", "replaced", "text", "picture", "gone"):
        write_lora(f"{name}.safetensors")
    scan_folders([root], index)
    headers_read.clear()
    os.utime(root / "older.safetensors", ns=(0, 5))
    status = (root / "replaced.safetensors").stat()
    write_lora("new").rename(root / "replaced.safetensors")
    os.utime(root / "replaced.safetensors", ns=(0, status.st_mtime_ns))
    (root / "text.txt").write_text("words")
    (root / "picture.png").touch()
    (root / "gone.safetensors").unlink()
    entries = {entry.name: entry for entry in scan_folders([root], index)}
    assert sorted(headers_read) == [f"{name}.safetensors" for name in
                                    ("older", "picture", "replaced", "text")]  # fmt: skip
    assert entries["text"].description == "words"
    assert entries["picture"].previews[0] == root / "picture.png"
    assert "gone" not in entries
    assert len(index.load([root])) == 5


def test_unusable_files_are_listed_with_the_reason_and_tried_again(
    root: Path, index: LibraryIndex, write_lora: WriteLora, headers_read: list[str]
) -> None:
    path = write_lora("cut.safetensors")
    path.write_bytes(path.read_bytes()[:-10])
    write_lora("old.safetensors", width=768)
    (root / "page.safetensors").write_text("<html>Not found, sorry</html>")
    entries = {entry.name: entry for entry in scan_folders([root], index)}
    assert "truncated" in entries["cut"].error
    assert "web page" in entries["page"].error
    assert entries["old"].error == ""
    assert entries["old"].base_model == "SD 1.5"
    assert [entry.fits_sdxl for entry in entries.values()] == [False, False, False]
    headers_read.clear()
    scan_folders([root], index)
    assert sorted(headers_read) == ["cut.safetensors", "page.safetensors"]


def test_what_is_no_lora_says_so(root: Path, index: LibraryIndex) -> None:
    save_file({"clip_l": np.zeros((2, 768), np.float16)}, root / "emb.safetensors")
    (entry,) = scan_folders([root], index)
    assert "embedding" in entry.error


def test_sidecar_names_the_base_when_the_header_cannot(root: Path, index: LibraryIndex) -> None:
    module = "lora_unet_input_blocks_1_0_in_layers_2"
    save_file({f"{module}.diff": np.zeros((2, 2), np.float16)}, root / "a.safetensors")
    (root / "a.civitai.info").write_text('{"baseModel": "Pony"}')
    (entry,) = scan_folders([root], index)
    assert (entry.base_model, entry.base_evidence) == ("SDXL", "a file beside it says Pony")


AMBIGUOUS = ("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q", 640)
XL = ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", 2048)
FLUX = ("lora_unet_double_blocks_0_img_mlp_0", 3072)


@pytest.mark.parametrize(
    ("module", "words", "base", "label"),
    [
        (AMBIGUOUS, "Pony", "SDXL", "SDXL Pony"),
        (AMBIGUOUS, "Pony V7", "AuraFlow", "AuraFlow"),
        (AMBIGUOUS, "Illustrious", "SDXL", "SDXL Illustrious"),
        (AMBIGUOUS, "Other", "", ""),
        # A word that nobody knows hides nothing, and stands in the details.
        (AMBIGUOUS, "My Mix", "", ""),
        (XL, "NoobAI", "SDXL", "SDXL NoobAI"),
        (XL, "SDXL 1.0", "SDXL", "SDXL"),
        # Shapes come before words, unless only words can tell.
        (XL, "SD 1.5", "SDXL", "SDXL"),
        (XL, "Kolors", "Kolors", "Kolors"),
        (FLUX, "Chroma", "Chroma", "Chroma"),
        (FLUX, "Pony", "Flux or Chroma", "Flux or Chroma"),
    ],
)
def test_words_beside_a_file(
    root: Path, index: LibraryIndex, module: tuple[str, int], words: str, base: str, label: str
) -> None:
    name, width = module
    tensors = {
        f"{name}.lora_down.weight": np.zeros((1, width), np.float16),
        f"{name}.lora_up.weight": np.zeros((640, 1), np.float16),
    }
    save_file(tensors, root / "a.safetensors")
    (root / "a.civitai.info").write_text(json.dumps({"baseModel": words}))
    (entry,) = scan_folders([root], index)
    assert (entry.base_model, entry.base_label) == (base, label)
    assert entry.base_evidence
    (again,) = index.load([root])
    assert again.base_label == label


def test_missing_folder_is_a_sentence_and_its_entries_stay(
    root: Path, index: LibraryIndex, write_lora: WriteLora, headers_read: list[str]
) -> None:
    write_lora("a.safetensors")
    before = scan_folders([root], index)
    root.rename(root.with_name("away"))
    reports: list[ScanProgress] = []
    (entry,) = scan_folders([root], index, reports.append)
    assert "is its drive mounted?" in entry.error
    assert [problem for report in reports for problem in report.problems] == [entry.error]
    assert index.load([root]) == [entry], "and so it is known at the next start"
    root.with_name("away").rename(root)
    headers_read.clear()
    assert scan_folders([root], index) == before
    assert headers_read == []


@pytest.mark.parametrize("kind", ["empty", "linked folder", "linked file", "a file"])
def test_other_signs_of_a_missing_drive_keep_the_entries(
    root: Path, tmp_path: Path, index: LibraryIndex, write_lora: WriteLora, kind: str
) -> None:
    write_lora("keep/b.safetensors")
    drive = tmp_path / "drive"
    if kind == "linked folder":
        drive.mkdir()
        write_lora("a.safetensors").rename(drive / "a.safetensors")
        (root / "nas").symlink_to(drive)
    elif kind == "linked file":
        write_lora("a.safetensors").rename(drive)
        (root / "a.safetensors").symlink_to(drive)
    before = scan_folders([root], index)
    if kind.startswith("linked"):
        drive.rename(tmp_path / "away")
    else:
        root.rename(tmp_path / "away")
        root.mkdir() if kind == "empty" else root.touch()
    after = scan_folders([root], index)
    assert keys(after) == keys(before)
    assert sum(bool(entry.error) for entry in after) == 1
    assert [replace(entry, error="") for entry in after] == before


def test_the_last_file_beside_folders_goes(
    root: Path, index: LibraryIndex, write_lora: WriteLora
) -> None:
    """A look at that folder alone does not take the library for a drive that is away."""
    path = write_lora("a.safetensors")
    write_lora("sub/b.safetensors")
    scan_folders([root], index)
    path.unlink()
    reports: list[ScanProgress] = []
    refresh_folders([Look(root, root, below=False)], index, reports.append)
    assert [report.problems for report in reports] == [()]
    assert keys(index.load([root])) == ["sub/b.safetensors"]


def test_folder_that_was_never_there(tmp_path: Path, index: LibraryIndex) -> None:
    reports: list[ScanProgress] = []
    assert scan_folders([tmp_path / "none"], index, reports.append) == []
    assert "there is no such folder" in reports[0].problems[0]


def test_progress_comes_in_batches(
    root: Path, index: LibraryIndex, write_lora: WriteLora, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_module, "BATCH", 2)
    for number in range(5):
        write_lora(f"{number}.safetensors")
    reports: list[ScanProgress] = []
    entries = scan_folders([root], index, reports.append)
    assert [(report.done, report.total) for report in reports] == [(0, 5), (2, 5), (4, 5), (5, 5)]
    assert [row.size for report in reports for row in report.found] == [e.size for e in entries]
    assert sum(report.new for report in reports) == 5


def test_stopping_keeps_what_was_read(
    root: Path,
    index: LibraryIndex,
    write_lora: WriteLora,
    headers_read: list[str],
) -> None:
    for number in range(5):
        write_lora(f"{number}.safetensors")
    found = scan_folders([root], index, should_stop=lambda: len(headers_read) == 3)
    assert len(found) == 3
    assert index.load([root]) == found
    assert len(scan_folders([root], index)) == 5
    assert len(headers_read) == 5


def test_damaged_index_is_reported(tmp_path: Path, root: Path, write_lora: WriteLora) -> None:
    write_lora("a.safetensors")
    path = tmp_path / "damaged.sqlite"
    path.write_bytes(b"no database" * 1000)
    reports: list[ScanProgress] = []
    with LibraryIndex(path) as index:
        assert len(scan_folders([root], index, reports.append)) == 1
    assert "damaged" in reports[-1].problems[0]


def test_file_names_cannot_act_on_the_terminal(
    root: Path, index: LibraryIndex, write_lora: WriteLora
) -> None:
    write_lora("x\x1b[31m\u202e/y\x1b]0;t\x07.safetensors")
    raw = os.fsencode(root) + b"/caf\xe9.safetensors"
    write_lora("plain.safetensors").rename(os.fsdecode(raw))
    entries = scan_folders([root], index)
    assert sorted((entry.folder, entry.name) for entry in entries) == [
        ("", "caf\ufffd"),
        ("x", "y"),
    ]
    assert all(entry.path.exists() for entry in entries)
    assert sorted(index.load([root]), key=str) == sorted(entries, key=str)
