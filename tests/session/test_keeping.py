"""A picture is announced when it is whole on disk and in the store, with all that made it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import CancelledError
from engine.files.hashes import hash_file
from engine.generate.picture_said import read_picture
from engine.protocol.commands import Draw, Load
from engine.protocol.events import (
    FINAL,
    CommandFailed,
    Event,
    EventMessage,
    GenerationFinished,
    PictureSaved,
)
from engine.protocol.making import Making
from engine.protocol.refs import LoraRef
from engine.protocol.request import PICTURE_FORMATS, GenerateRequest
from engine.session import Session
from engine.session.writing import PictureWriter
from engine.store.database import Database
from engine.store.pictures import PICTURES, PictureStore

PATIENCE = 120.0


class Announced:
    """A session that looks at each picture in the moment in which it is told of."""

    def __init__(self, checkpoint: Path, store: Path) -> None:
        self.ends: queue.Queue[Event] = queue.Queue()
        self.found: list[tuple[Making | None, Making | None]] = []
        self._store = store
        self.session = Session(self._take, store=store)
        self.session.send(Load(checkpoint, device="cpu", dtype="float32"))
        self.ends.get(timeout=PATIENCE)

    def _take(self, message: EventMessage) -> None:
        if isinstance(message.event, PictureSaved):
            with Database(self._store, PICTURES) as database:
                stored = PictureStore(database).making(message.event.path)
            self.found.append((read_picture(message.event.path).making, stored))
        if isinstance(message.event, FINAL) and message.answers is not None:
            self.ends.put(message.event)

    def draw(self, request: GenerateRequest, *stack: LoraRef) -> GenerationFinished:
        self.session.send(Draw(request, stack))
        end = self.ends.get(timeout=PATIENCE)
        assert isinstance(end, GenerationFinished), end
        return end


@pytest.fixture
def announced(tiny_checkpoint: Path, tmp_path: Path) -> Iterator[Announced]:
    one = Announced(tiny_checkpoint, tmp_path / "state" / "loraswitch.db")
    yield one
    assert one.session.close(PATIENCE)


def request(folder: Path) -> GenerateRequest:
    settings = {"steps": 1, "width": 64, "height": 64}
    return GenerateRequest("a red star", folder, **settings)  # type: ignore[arg-type]


def test_all_is_there_when_a_picture_is_announced(
    announced: Announced, tiny_loras: Path, tmp_path: Path
) -> None:
    lora = tiny_loras / "neon.safetensors"
    ref = LoraRef(lora, 0.8, 1 / 3)
    wanted = replace(request(tmp_path), batch=3, file_names="[date]/[seed]-[lora]")
    finished = announced.draw(wanted, ref)
    assert len(announced.found) == 3
    for index, (picture, (inside, stored)) in enumerate(
        zip(finished.pictures, announced.found, strict=True)
    ):
        assert inside == stored
        assert inside is not None
        assert (inside.index, inside.stack) == (index, (ref,))
        assert inside.request == replace(wanted, seed=finished.pictures[0].seed)
        assert inside.picture.seed == picture.seed
        assert inside.hash_of(ref) == hash_file(lora).tensors_sha256
        assert picture.path.name == f"{picture.seed}-neon.png"
        assert picture.path.parent.parent == tmp_path


def test_what_a_picture_says_draws_the_same_in_every_format(
    announced: Announced, tmp_path: Path
) -> None:
    for kind in PICTURE_FORMATS:
        announced.draw(replace(request(tmp_path / kind), seed=5, picture_format=kind))
    makings = [inside for inside, _ in announced.found]
    assert all(making is not None for making in makings)
    first, again = tmp_path / "png" / "00001-5.png", makings[0]
    assert again is not None
    announced.draw(again.picture)
    assert (tmp_path / "png" / "00002-5.png").read_bytes() == first.read_bytes()
    assert len(list((tmp_path / "jpeg").glob("*.jpg"))) == 1
    assert len(list((tmp_path / "webp").glob("*.webp"))) == 1


def test_a_store_that_cannot_be_written_costs_no_picture(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    events: queue.Queue[Event] = queue.Queue()
    (tmp_path / "file").write_text("")
    session = Session(lambda message: events.put(message.event), store=tmp_path / "file" / "a.db")
    session.send(Load(tiny_checkpoint, device="cpu", dtype="float32"))
    session.send(Draw(replace(request(tmp_path), batch=2)))
    while not isinstance(event := events.get(timeout=PATIENCE), GenerationFinished):
        assert not isinstance(event, CommandFailed)
    assert len(event.pictures) == 2
    assert sum("store does not know" in words for words in event.warnings) == 1
    assert session.close(PATIENCE)


def test_the_writer_keeps_the_order_and_passes_faults_on() -> None:
    done: list[int] = []
    with PictureWriter() as writer:
        for number in range(9):
            writer.put(lambda number=number: done.append(number))
    assert done == list(range(9))

    def fail() -> None:
        raise OSError("no space")

    after = threading.Event()
    with pytest.raises(OSError, match="no space"), PictureWriter() as writer:  # noqa: PT012
        writer.put(fail)
        writer.put(after.set)
    assert not after.is_set()


def test_a_cancel_does_not_hide_a_picture_that_is_lost() -> None:
    def fail() -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"), PictureWriter() as writer:  # noqa: PT012
        writer.put(fail)
        raise CancelledError("The generation was cancelled.")
