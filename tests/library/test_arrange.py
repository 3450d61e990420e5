"""Renaming, moving and deleting take along what is beside a file, happen whole, can be undone."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.library import arrange
from engine.library.arrange import ASIDE, ArrangeError, empty, rename, set_aside

from .conftest import WriteLora

BESIDE = ("neon.json", "neon.civitai.info", "NEON.png", "neon.preview.webp", "neon.txt")


@pytest.fixture
def lora(root: Path, write_lora: WriteLora) -> Path:
    for name in (*BESIDE, "neon_2.json", "other.json"):
        (root / name).write_text(name)
    write_lora("neon_2.safetensors")
    return write_lora("neon.safetensors")


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_a_rename_takes_along_what_is_beside_and_is_undone(root: Path, lora: Path) -> None:
    before = files(root)
    moved = rename(lora, root / "styles/new/glow.safetensors")
    assert moved.lora == root / "styles/new/glow.safetensors"
    names = {name.replace("neon", "glow").replace("NEON", "glow") for name in BESIDE}
    there = {path.name for path in (root / "styles/new").iterdir()}
    assert there == names | {"glow.safetensors"}
    assert {path.name for path in root.iterdir()} == {
        "neon_2.json", "neon_2.safetensors", "other.json", "styles"
    }  # fmt: skip
    moved.undo()
    assert files(root) == before


def test_a_taken_name_is_refused_and_nothing_moves(root: Path, lora: Path) -> None:
    (root / "glow.txt").write_text("somebody's")
    before = files(root)
    with pytest.raises(ArrangeError, match=r"glow\.txt: there is a file of this name"):
        rename(lora, root / "glow.safetensors")
    for name in ("", ".hidden"):
        with pytest.raises(ArrangeError, match="is no name"):
            rename(lora, root / f"{name}.safetensors")
    assert files(root) == before


def test_what_fails_half_way_is_turned_back(root: Path, lora: Path, monkeypatch) -> None:
    before = files(root)
    real = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self == lora:
            raise PermissionError(13, "Permission denied")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ArrangeError, match="not permitted"):
        rename(lora, root / "x/glow.safetensors")
    monkeypatch.undo()
    assert files(root) == before


def test_deleted_files_come_back_until_the_trash_has_them(
    root: Path, lora: Path, tmp_path: Path, monkeypatch
) -> None:
    before = files(root)
    moved = set_aside(lora)
    assert moved.lora.parent.parent == root / ASIDE
    assert not lora.exists()
    moved.undo()
    assert files(root) == before
    assert not (root / ASIDE).exists()

    thrown: list[str] = []

    def throw_away(path: Path) -> None:
        thrown.append(path.name)
        path.unlink()

    monkeypatch.setattr(arrange, "to_trash", throw_away)
    set_aside(lora)
    assert empty([root / ASIDE, tmp_path / "gone"], owned=True) == []
    assert sorted(thrown) == sorted((*BESIDE, "neon.safetensors"))
    assert not (root / ASIDE).exists()


def test_what_the_trash_does_not_take_stays_aside(root: Path, lora: Path, monkeypatch) -> None:
    def refuse(path: Path) -> None:
        raise EngineError("There is no trash here.")

    monkeypatch.setattr(arrange, "to_trash", refuse)
    moved = set_aside(lora)
    assert len(empty([root / ASIDE], owned=True)) == len(moved.pairs)
    moved.undo()
    assert lora.exists()


def test_what_another_process_may_bring_back_is_left_to_it(
    root: Path, lora: Path, monkeypatch
) -> None:
    thrown: list[Path] = []
    monkeypatch.setattr(arrange, "to_trash", thrown.append)
    moved = set_aside(lora)
    assert empty([root / ASIDE], owned=False) == []
    assert (thrown, moved.lora.exists()) == ([], True), "this process lives"
    monkeypatch.setattr(arrange.psutil, "pid_exists", lambda pid: False)
    empty([root / ASIDE], owned=False)
    assert moved.lora in thrown


def test_two_of_one_name_are_deleted_one_after_the_other(root: Path, lora: Path) -> None:
    first = set_aside(lora)
    lora.write_bytes(b"another")
    second = set_aside(lora)
    second.undo()
    assert lora.read_bytes() == b"another"
    lora.unlink()
    first.undo()
    assert lora.read_bytes() != b"another"


def test_a_peft_configuration_goes_with_its_lora(root: Path) -> None:
    lora = root / "peft" / "adapter_model.safetensors"
    lora.parent.mkdir()
    lora.write_bytes(b"weights")
    config = lora.with_name("adapter_config.json")
    config.write_text('{"r": 16, "lora_alpha": 64}')
    moved = rename(lora, root / "other/adapter_model.safetensors")
    assert (root / "other/adapter_config.json").read_text() == '{"r": 16, "lora_alpha": 64}'
    assert not config.exists()
    moved.undo()
    assert config.exists()
    (root / "neon.safetensors").write_bytes(b"other weights")
    with pytest.raises(ArrangeError, match="would not count"):
        rename(lora, root / "glow.safetensors")
    aside = set_aside(lora)
    assert not config.exists()
    aside.undo()
    assert config.exists()


def test_a_lora_written_in_another_case_keeps_its_own_files(root: Path) -> None:
    for name in ("foo.safetensors", "Foo.safetensors", "foo.png", "Foo.png", "Foo.json"):
        (root / name).write_text(name)
    rename(root / "foo.safetensors", root / "bar.safetensors")
    assert (root / "bar.png").read_text() == "foo.png"
    assert (root / "Foo.png").read_text() == "Foo.png"
    assert (root / "Foo.json").exists()


def test_two_files_never_get_one_name(root: Path) -> None:
    for name in ("foo.safetensors", "foo.png", "Foo.png"):
        (root / name).write_text(name)
    before = files(root)
    with pytest.raises(ArrangeError, match="one name"):
        rename(root / "foo.safetensors", root / "bar.safetensors")
    assert files(root) == before


@pytest.mark.parametrize("is_absolute", [False, True])
def test_links_lead_to_the_same_file_from_another_depth(
    root: Path, tmp_path: Path, write_lora: WriteLora, is_absolute: bool
) -> None:
    """Also where the folder they stand in is a link, and where what they lead to moves as well."""
    store = tmp_path / "store/deep"
    store.mkdir(parents=True)
    write_lora("neon.safetensors").rename(store / "blob")
    (root / "linked").symlink_to(store.parent)
    here = root / "linked"
    (here / "neon.png").write_text("picture")
    start = here if is_absolute else Path()
    (here / "neon.safetensors").symlink_to(start / "deep/blob")
    (here / "neon.preview.png").symlink_to(start / "neon.png")
    (here / "neon.txt").symlink_to("../nowhere/at-all.txt")
    before = {path.name: path.readlink() for path in here.iterdir() if path.is_symlink()}

    moved = rename(here / "neon.safetensors", root / "a/b/glow.safetensors")
    assert not (here / "neon.safetensors").is_symlink()
    assert moved.lora.samefile(store / "blob")
    assert (root / "a/b/glow.preview.png").samefile(root / "a/b/glow.png")
    nowhere = root / "a/b/glow.txt"
    assert (nowhere.parent / nowhere.readlink()).resolve() == tmp_path / "nowhere/at-all.txt"
    again = set_aside(moved.lora)
    assert again.lora.samefile(store / "blob")
    again.undo()
    moved.undo()
    assert {path.name: path.readlink() for path in here.iterdir() if path.is_symlink()} == before
