"""Pictures are drawn before the hashes of their files are known, and carry the right ones."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.files.hashes import hash_file
from engine.generate.infotext import parse_infotext
from engine.library import hash_table
from engine.protocol.commands import CancelAll, Draw, Load, SetStack
from engine.protocol.events import (
    GenerationCancelled,
    GenerationFinished,
    GenerationStep,
    HashAwaited,
    ModelLoaded,
    PictureSaved,
    Switched,
)
from engine.protocol.refs import LoraRef
from tests.session.test_session import PATIENCE, Watched, request


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Hashing waits until this is called."""
    gate = threading.Event()

    def wait(path: Path):
        assert gate.wait(PATIENCE)
        return hash_file(path)

    monkeypatch.setattr(hash_table, "hash_file", wait)
    yield gate.set
    gate.set()


@pytest.fixture
def watched(tiny_checkpoint: Path) -> Iterator[Watched]:
    watched = Watched()
    watched.session.send(Load(tiny_checkpoint, device="cpu", dtype="float32"))
    watched.wait(ModelLoaded)
    yield watched
    assert watched.session.close(PATIENCE)


def autov2(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:10]


def test_the_last_step_comes_before_the_hash(release, watched, tiny_checkpoint, tmp_path) -> None:
    watched.session.send(Draw(request(tmp_path)))
    assert watched.wait(HashAwaited).name == "tiny.safetensors"
    steps = [event.step for event in watched.seen if isinstance(event, GenerationStep)]
    assert steps == [1, 2, 3], "drawn"
    release()
    picture = watched.wait(PictureSaved)
    assert parse_infotext(picture.infotext).model_hash == autov2(tiny_checkpoint)
    watched.wait(GenerationFinished)


def test_a_cancel_saves_the_picture_without_it(release, watched, tmp_path) -> None:
    watched.session.send(Draw(request(tmp_path, batch=2)))
    watched.wait(HashAwaited)
    watched.session.send(CancelAll())
    picture = watched.wait(PictureSaved)
    assert picture.path.exists()
    info = parse_infotext(picture.infotext)
    assert (info.model, info.model_hash) == ("tiny", None)
    # The second picture is drawn while the first waits to be written: it may be done by now.
    watched.wait_for_any((GenerationCancelled, GenerationFinished))


def test_of_a_lora_that_was_replaced_behind_a_switch_no_hash_is_written(
    watched, tiny_loras, tmp_path
) -> None:
    lora = Path(shutil.copy(tiny_loras / "neon.safetensors", tmp_path / "neon.safetensors"))
    watched.session.send(SetStack((LoraRef(lora),)))
    watched.wait(Switched)
    watched.session.send(Draw(request(tmp_path)))
    before = parse_infotext(watched.wait(PictureSaved).infotext).lora_hashes
    assert before == (("neon", hash_file(lora).autov3),)
    content = bytearray(lora.read_bytes())
    content[-2] ^= 1
    lora.write_bytes(content)
    watched.session.send(Draw(request(tmp_path)))
    after = parse_infotext(watched.wait(PictureSaved).infotext).lora_hashes
    assert after == before, "the weights are those of the file as it was"
    watched.session.send(SetStack((LoraRef(lora, 0.5),)))
    watched.wait(Switched)
    watched.session.send(Draw(request(tmp_path)))
    assert parse_infotext(watched.wait(PictureSaved).infotext).lora_hashes == (
        ("neon", hash_file(lora).autov3),
    )


def test_a_hash_names_the_lora_as_its_tag_does(watched, tiny_loras, tmp_path) -> None:
    lora = LoraRef(tiny_loras / "neon.safetensors")
    watched.session.send(SetStack((lora,)))
    watched.session.send(Draw(request(tmp_path, lora_names=((str(lora.path), "styles/neon"),))))
    info = parse_infotext(watched.wait(PictureSaved).infotext)
    assert info.lora_hashes == (("styles/neon", hash_file(lora.path).autov3),)
    assert info.prompt == "a red star <lora:styles/neon:1>"
