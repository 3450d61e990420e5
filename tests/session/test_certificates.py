"""Certificates of pictures: by the files that were drawn with, whatever lies there afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.files.picture_texts import MAKING, read_picture_texts
from engine.proof.contents import FileContents
from engine.proof.digest import request_digest, weights_digest
from engine.protocol.certificate import Certificate
from engine.protocol.commands import Draw, Load, SetStack
from engine.protocol.events import GenerationFinished, ModelLoaded, Switched
from engine.protocol.making import decode_making
from engine.protocol.refs import LoraRef
from tests.session.test_session import PATIENCE, Watched, request


@pytest.fixture
def watched(tiny_checkpoint: Path) -> Iterator[Watched]:
    watched = Watched()
    watched.session.send(Load(tiny_checkpoint, device="cpu", dtype="float32"))
    yield watched
    assert watched.session.close(PATIENCE)


def drawn(watched: Watched, draw: Draw) -> list[Certificate | None]:
    watched.session.send(draw)
    finished = watched.wait(GenerationFinished)
    texts = [read_picture_texts(picture.path).texts for picture in finished.pictures]
    return [decode_making(text[MAKING]).certificate for text in texts]


def test_pictures_say_by_which_weights_and_request(
    watched: Watched, tiny_loras: Path, tmp_path: Path
) -> None:
    model = watched.wait(ModelLoaded).model
    neon, ink = tiny_loras / "neon.safetensors", tiny_loras / "styles" / "ink.safetensors"
    stack = (LoraRef(neon, 0.5), LoraRef(ink, 0.8))
    wanted = request(tmp_path, seed=7, batch=2)
    certificates = drawn(watched, Draw(wanted, stack))
    contents = FileContents()
    for index, certificate in enumerate(certificates):
        assert certificate is not None
        assert certificate.weights == weights_digest(model.fingerprint, stack, contents)
        assert certificate.request == request_digest(wanted.picture(index), contents)
        assert dict(certificate.contents) == {str(p): contents.lora(p) for p in (neon, ink)}
        assert (certificate.base, certificate.model) == (model.fingerprint, str(model.path))
        assert certificate.machine.device.startswith("cpu ")
        assert certificate.machine.threads >= 1
    (again,) = drawn(watched, Draw(wanted.picture(1), tuple(reversed(stack))))
    assert again == certificates[1], "the order of a stack does not count"
    (other,) = drawn(watched, Draw(wanted.picture(1), (replace(stack[0], unet=0.6), stack[1])))
    assert other is not None
    assert certificates[1] is not None
    assert other.request == certificates[1].request
    assert other.weights != certificates[1].weights


@pytest.mark.parametrize("vae_dtype", ["float32", "bfloat16"])
def test_pictures_say_by_which_type_of_vae(
    vae_dtype: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    watched = Watched()
    watched.session.send(Load(tiny_checkpoint, "cpu", "float32", vae_dtype=vae_dtype))
    assert watched.wait(ModelLoaded).model.vae_dtype == vae_dtype
    (certificate,) = drawn(watched, Draw(request(tmp_path, seed=7), ()))
    assert certificate is not None
    assert (certificate.dtype, certificate.vae_dtype) == ("float32", vae_dtype)
    assert watched.session.close(PATIENCE)


def test_a_file_that_is_written_to_meanwhile_is_certified_as_it_was(
    watched: Watched, tiny_loras: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    shutil.copy(tiny_loras / "neon.safetensors", path)
    before = FileContents().lora(path)
    watched.session.send(SetStack((LoraRef(path),)))
    watched.wait(Switched)
    (first,) = drawn(watched, Draw(request(tmp_path)))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert FileContents().lora(path) != before
    (second,) = drawn(watched, Draw(request(tmp_path)))
    for certificate in (first, second):
        assert certificate is not None
        assert dict(certificate.contents) == {str(path): before}, "what is in the weights"


def test_a_file_that_was_never_hashed_is_not_certified(
    watched: Watched, tiny_loras: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    shutil.copy(tiny_loras / "neon.safetensors", path)
    watched.session.send(SetStack((LoraRef(path),)))
    watched.wait(Switched)
    path.unlink()
    assert drawn(watched, Draw(request(tmp_path))) == [None]
