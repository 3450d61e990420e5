"""A reference to a LoRA: one file is one path, however it was written."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from engine.protocol.refs import LoraRef


def test_one_file_written_in_many_ways_is_one_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "loras" / "ink.safetensors"
    ways = [
        path,
        str(path),
        Path("loras/ink.safetensors"),
        "loras/ink.safetensors",
        "./loras//ink.safetensors",
        "~/loras/ink.safetensors",
        Path("~/loras/ink.safetensors"),
    ]
    refs = [LoraRef(way, 0.8) for way in ways]
    assert {ref.path for ref in refs} == {path}
    assert len(set(refs)) == 1
    monkeypatch.chdir("/")
    assert refs[2].path == path
    assert refs[2].name == "ink"


def test_a_name_that_only_looks_like_a_home_is_a_name(tmp_path: Path) -> None:
    assert LoraRef("~nobody-has-this-name/ink.safetensors").path.is_absolute()
    path = tmp_path / "~old.safetensors"
    assert LoraRef(path).path == path


def test_a_link_is_kept(tmp_path: Path) -> None:
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "file.safetensors")
    assert LoraRef(tmp_path / "link.safetensors").path.name == "link.safetensors"


def test_copies_are_equal_and_nothing_can_be_set(tmp_path: Path) -> None:
    ref = LoraRef(tmp_path / "ink.safetensors", 0.8, 0.6, 0.5, (("MID", 0.0),))
    assert pickle.loads(pickle.dumps(ref)) == copy.deepcopy(ref) == replace(ref) == ref
    assert replace(ref, unet=0.1) == LoraRef(ref.path, 0.1, 0.6, 0.5, (("MID", 0.0),))
    assert ref.at(0.3) == LoraRef(ref.path, 0.3, 0.3, None, (("MID", 0.0),))
    with pytest.raises(FrozenInstanceError):
        ref.unet = 1.0  # type: ignore[misc]
