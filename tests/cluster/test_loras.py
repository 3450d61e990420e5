"""LoRAs on a node: the shared file where it is the same, else one that was sent."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.cluster.loras import NodeLoras, Wanted, bundle
from engine.cluster.model_digest import model_digest
from engine.errors import EngineError
from engine.proof.contents import FileContents
from engine.protocol.refs import LoraRef


@pytest.fixture
def wanted(tiny_loras: Path, tmp_path: Path) -> Wanted:
    path = tmp_path / "shared/neon.safetensors"
    path.parent.mkdir()
    shutil.copy(tiny_loras / "neon.safetensors", path)
    return Wanted(LoraRef(path, 0.8), FileContents().lora(path))


def test_a_shared_file_is_used_as_it_is(wanted: Wanted, tmp_path: Path) -> None:
    def fetch(content: str) -> dict[str, bytes]:
        raise AssertionError("it is here")

    assert NodeLoras(tmp_path / "cache", FileContents(), fetch).here(wanted) == wanted.ref


@pytest.mark.parametrize("other", [None, "styles/ink"])
def test_what_is_missing_or_another_is_sent_once(
    wanted: Wanted, tiny_loras: Path, tmp_path: Path, other: str | None
) -> None:
    files = bundle(wanted.ref.path)
    wanted.ref.path.unlink()
    if other is not None:
        shutil.copy(tiny_loras / f"{other}.safetensors", wanted.ref.path)
    asked = []

    def fetch(content: str) -> dict[str, bytes]:
        asked.append(content)
        return dict(files)

    node = NodeLoras(tmp_path / "cache", FileContents(), fetch)
    here = node.here(wanted)
    assert (here.path.name, here.unet) == ("neon.safetensors", 0.8)
    assert here.path.read_bytes() == files["neon.safetensors"]
    assert NodeLoras(tmp_path / "cache", FileContents(), fetch).here(wanted) == here
    assert asked == [wanted.content]
    assert node.bytes_fetched == len(files["neon.safetensors"])


def test_what_is_sent_must_be_what_is_wanted(wanted: Wanted, tiny_loras: Path, tmp_path) -> None:
    wanted.ref.path.unlink()
    ink = bundle(tiny_loras / "styles/ink.safetensors")["ink.safetensors"]
    node = NodeLoras(tmp_path / "cache", FileContents(), lambda _: {"neon.safetensors": ink})
    with pytest.raises(EngineError, match="another file"):
        node.here(wanted)


def test_a_model_is_known_by_its_files(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "unet").mkdir(parents=True)
    shutil.copy(tiny_checkpoint, folder / "unet/a.safetensors")
    (folder / "model_index.json").write_text("{}")
    contents = FileContents()
    before = model_digest(folder, contents)
    assert before == model_digest(folder, contents) != model_digest(tiny_checkpoint, contents)
    (folder / "model_index.json").write_text('{"a": 1}')
    assert model_digest(folder, contents) != before
