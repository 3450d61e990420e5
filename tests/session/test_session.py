"""The engine thread: commands in, events out, errors as sentences, an end when asked."""

from __future__ import annotations

import errno
import itertools
import os
import queue
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
import torch
from PIL import Image

from engine.errors import CancelledError
from engine.events import (
    BackupMoved,
    CommandFailed,
    Event,
    GenerationCancelled,
    GenerationFinished,
    GenerationStarted,
    GenerationStep,
    LoadProgress,
    MemoryChanged,
    ModelLoaded,
    PictureSaved,
    StateChanged,
    Switched,
    Verified,
)
from engine.generate import save
from engine.generate.infotext import parse_infotext
from engine.generate.request import GenerateRequest
from engine.generate.save import read_infotext
from engine.library.hashes import hash_file
from engine.refs import LoraRef
from engine.reports import MemoryReport
from engine.session import Session
from engine.switch.switcher import LoraSwitcher
from tests.support.tiny_checkpoint import write_tiny_checkpoint

E = TypeVar("E")
PATIENCE = 120.0


@dataclass
class Watched:
    """A session whose events wait in a queue; `on_event` may be set to react on its thread."""

    events: queue.Queue[Event] = field(default_factory=queue.Queue)
    on_event: Callable[[Event], None] = lambda event: None
    seen: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = Session(self._take)

    def _take(self, event: Event) -> None:
        self.on_event(event)
        self.events.put(event)

    def wait(self, kind: type[E]) -> E:
        """The next event of a kind; fails on a failure that was not waited for."""
        while True:
            event = self.events.get(timeout=PATIENCE)
            self.seen.append(event)
            if isinstance(event, kind):
                return event
            assert not isinstance(event, CommandFailed), event.message

    def wait_for_any(self, kinds: tuple[type[Event], ...]) -> Event:
        """The next event of any of these kinds."""
        while True:
            event = self.events.get(timeout=PATIENCE)
            self.seen.append(event)
            if isinstance(event, kinds):
                return event

    @property
    def seen_failures(self) -> list[CommandFailed]:
        """The failures so far."""
        return [event for event in self.seen if isinstance(event, CommandFailed)]


@pytest.fixture
def watched(tiny_checkpoint: Path) -> Iterator[Watched]:
    watched = Watched()
    watched.session.load(tiny_checkpoint, device="cpu", dtype="float32")
    yield watched
    assert watched.session.close(PATIENCE)


def request(folder: Path, **changes: object) -> GenerateRequest:
    settings: dict[str, object] = {"steps": 3, "width": 64, "height": 64, "seed": 7, **changes}
    return GenerateRequest("a red star", folder, **settings)  # type: ignore[arg-type]


def pixels(picture: PictureSaved) -> bytes:
    with Image.open(picture.path) as image:
        return image.tobytes()


def test_a_day_in_it(watched: Watched, tiny_loras: Path, tmp_path: Path) -> None:
    loaded = watched.wait(ModelLoaded)
    assert (loaded.model.device, loaded.model.dtype) == ("cpu", "float32")
    assert loaded.model.default_size == 64
    assert any(isinstance(event, LoadProgress) and event.total for event in watched.seen)
    assert watched.wait(StateChanged) == StateChanged("base")

    session = watched.session
    session.generate(request(tmp_path))
    assert watched.wait(GenerationStarted).seed == 7
    step = watched.wait(GenerationStep)
    assert step.preview is not None
    assert len(step.preview.rgb) == 3 * step.preview.width * step.preview.height
    base = watched.wait(PictureSaved)
    assert watched.wait(GenerationFinished).pictures == (base,)

    stack = [LoraRef(tiny_loras / "neon.safetensors", 0.8, 0.5)]
    session.switch(stack)
    report = watched.wait(Switched).report
    assert report.stack == tuple(stack)
    assert report.text_encoders_changed
    assert watched.wait(StateChanged) == StateChanged("stack", tuple(stack))
    assert watched.wait(MemoryChanged).memory.backup == report.backup_bytes > 0

    session.generate(request(tmp_path))
    switched = watched.wait(PictureSaved)
    assert pixels(switched) != pixels(base)

    session.set_backup("cpu")
    assert watched.wait(BackupMoved).bytes == report.backup_bytes
    session.verify()
    assert watched.wait(Verified).report.different == ()

    session.switch([])
    assert watched.wait(Switched).report.restored == report.merged
    session.generate(request(tmp_path))
    assert pixels(watched.wait(PictureSaved)) == pixels(base)


def test_the_infotext_says_what_was_drawn(
    watched: Watched, tiny_loras: Path, tmp_path: Path
) -> None:
    lora = tiny_loras / "neon.safetensors"
    watched.session.switch([LoraRef(lora, 0.8, 0.5)])
    watched.session.generate(request(tmp_path, negative_prompt="blurry", cfg_scale=4.5))
    picture = watched.wait(PictureSaved)
    text = read_infotext(picture.path)
    assert text == picture.infotext
    info = parse_infotext(text)
    assert info.prompt == "a red star <lora:neon:te=0.5:unet=0.8>"
    assert (info.negative_prompt, info.seed, info.cfg_scale) == ("blurry", 7, 4.5)
    assert info.lora_hashes == (("neon", hash_file(lora).autov3),)
    assert info.model == "tiny"


def test_cancel_stops_within_a_step_and_drops_what_waits(watched: Watched, tmp_path: Path) -> None:
    session = watched.session
    watched.wait(StateChanged)

    def cancel_at_the_second_step(event: Event) -> None:
        if isinstance(event, GenerationStep) and event.step == 2:
            session.cancel()

    watched.on_event = cancel_at_the_second_step
    session.generate(request(tmp_path, steps=50))
    session.generate(request(tmp_path, steps=50))
    assert watched.wait(GenerationCancelled) == GenerationCancelled(2, 50)
    assert watched.wait(GenerationCancelled) == GenerationCancelled(0, 0), "each is answered"
    session.generate(request(tmp_path, steps=1, seed=9))
    assert watched.wait(GenerationStarted).seed == 9, "commands after a cancel are done"
    watched.wait(GenerationFinished)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("width", [63, 100])
def test_a_size_that_does_not_work_is_refused(watched: Watched, tmp_path: Path, width: int) -> None:
    watched.wait(StateChanged)
    watched.session.generate(request(tmp_path, width=width))
    failed = watched.wait(CommandFailed)
    assert failed.command == "generate"
    assert "multiple of 8" in failed.message
    assert not failed.unexpected


def test_a_refused_lora_leaves_the_stack(
    watched: Watched, tiny_loras: Path, tmp_path: Path
) -> None:
    good = (LoraRef(tiny_loras / "neon.safetensors"),)
    watched.session.switch(good)
    watched.wait(Switched)
    watched.wait(StateChanged)
    watched.session.switch([LoraRef(tmp_path / "gone.safetensors")])
    assert watched.wait(StateChanged) == StateChanged("stack", good)
    assert "gone.safetensors" in watched.wait(CommandFailed).message


def test_a_missing_model_is_said_and_nothing_else_breaks(tmp_path: Path) -> None:
    watched = Watched()
    watched.session.load(tmp_path / "gone.safetensors")
    assert "gone.safetensors" in watched.wait(CommandFailed).message
    watched.session.verify()
    assert "No model is loaded" in watched.wait(CommandFailed).message
    assert watched.session.close(PATIENCE)


def test_of_thousands_of_tensors_some_are_told(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine import worker

    # A tensor every millisecond.
    ticks = itertools.count()
    clock = SimpleNamespace(**vars(worker.time) | {"monotonic": lambda: next(ticks) / 1000})
    monkeypatch.setattr(worker, "time", clock)
    watched = Watched()
    watched.session.load(tiny_checkpoint, device="cpu")
    watched.wait(ModelLoaded)
    assert watched.session.close(PATIENCE)
    reading = [e for e in watched.seen if isinstance(e, LoadProgress) and "Reading" in e.stage]
    tensors = next(ticks)
    assert tensors > 300
    assert tensors // 100 <= len(reading) < tensors // 50
    assert any(event.done == event.total > 0 for event in reading), "the end always"


def test_loading_can_be_cancelled(tiny_checkpoint: Path) -> None:
    watched = Watched()

    def cancel_while_reading(event: Event) -> None:
        if isinstance(event, LoadProgress) and event.total:
            watched.session.cancel()

    watched.on_event = cancel_while_reading
    watched.session.load(tiny_checkpoint)
    stopped = CommandFailed("load", "The loading was cancelled.", cancelled=True)
    assert watched.wait(CommandFailed) == stopped
    watched.session.verify()
    assert "No model is loaded" in watched.wait(CommandFailed).message
    watched.on_event = lambda event: None
    watched.session.load(tiny_checkpoint)
    watched.wait(ModelLoaded)
    assert watched.session.close(PATIENCE)


def test_what_a_cancel_drops_is_answered_in_order(
    watched: Watched, tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path
) -> None:
    """Every command but a prefetch has one answer, so that those who count are never wrong."""
    session, neon = watched.session, LoraRef(tiny_loras / "neon.safetensors")
    watched.wait(MemoryChanged)
    held = threading.Event()

    def hold_and_cancel(event: Event) -> None:
        if isinstance(event, GenerationStarted) and not held.is_set():
            session.switch([neon])
            session.generate(request(tmp_path))
            session.prefetch(neon)
            session.load(tiny_checkpoint)
            session.verify()
            session.cancel()
            session.generate(request(tmp_path, steps=1))
            held.set()

    watched.on_event = hold_and_cancel
    session.generate(request(tmp_path))
    assert held.wait(PATIENCE)
    answers = (GenerationCancelled, GenerationFinished, CommandFailed, Switched, Verified)
    assert [type(watched.wait_for_any(answers)) for _ in range(6)] == [
        GenerationCancelled, Switched, GenerationCancelled, CommandFailed, Verified,
        GenerationFinished,
    ]  # fmt: skip
    assert watched.seen_failures == [
        CommandFailed("load", "The loading was cancelled before it began.", cancelled=True)
    ]


def test_reading_ahead_gives_way_to_what_somebody_waits_for(
    watched: Watched, tiny_loras: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def endless(self: LoraSwitcher, ref: LoraRef, cancelled: Callable[[], bool]) -> None:
        begun.set()
        while not cancelled():
            pass
        raise CancelledError("given up")

    monkeypatch.setattr(LoraSwitcher, "prefetch", endless)
    watched.session.prefetch(LoraRef(tiny_loras / "neon.safetensors"))
    assert begun.wait(PATIENCE)
    watched.session.verify()
    watched.wait(Verified)
    assert watched.seen_failures == []


def test_a_switch_to_the_file_that_is_read_ahead_waits_for_it(
    watched: Watched, tiny_loras: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of it would be read again."""
    neon = LoraRef(tiny_loras / "neon.safetensors")
    begun, queued, answers = threading.Event(), threading.Event(), []

    def asking(self: LoraSwitcher, ref: LoraRef, cancelled: Callable[[], bool]) -> None:
        begun.set()
        assert queued.wait(PATIENCE)
        answers.append(cancelled())

    monkeypatch.setattr(LoraSwitcher, "prefetch", asking)
    watched.session.prefetch(neon)
    assert begun.wait(PATIENCE)
    watched.session.switch([neon.at(0.5)])
    queued.set()
    watched.wait(Switched)
    assert answers == [False]


def test_a_vae_takes_the_place_of_the_models_own(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path
) -> None:
    other = write_tiny_checkpoint(tmp_path / "other", seed=5)
    watched = Watched()
    drawn = []
    for vae in (None, other):
        watched.session.load(tiny_checkpoint, "cpu", "float32", vae=vae)
        watched.wait(ModelLoaded)
        watched.session.generate(request(tmp_path / "out", steps=1))
        drawn.append(pixels(watched.wait(PictureSaved)))
    assert drawn[0] != drawn[1]
    watched.wait(GenerationFinished)
    lora = tiny_loras / "neon.safetensors"
    watched.session.load(tiny_checkpoint, vae=lora)
    failed = watched.wait_for_any((CommandFailed, ModelLoaded))
    assert isinstance(failed, CommandFailed)
    assert "neon.safetensors: this is no VAE" in failed.message
    watched.session.generate(request(tmp_path / "out", steps=1))
    assert pixels(watched.wait(PictureSaved)) == drawn[1], "the model that was there stays"
    assert watched.session.close(PATIENCE)


def test_a_path_that_no_system_can_open_is_said(tmp_path: Path) -> None:
    watched = Watched()
    for path in (tmp_path / "a\0b.safetensors", tmp_path / ("long" * 100)):
        watched.session.load(path)
        failed = watched.wait(CommandFailed)
        assert "cannot be opened" in failed.message
        assert not failed.unexpected
    assert watched.session.close(PATIENCE)


def test_a_model_that_left_is_told_with_its_memory(watched: Watched, tiny_checkpoint: Path) -> None:
    watched.wait(MemoryChanged)

    def cancel_while_reading(event: Event) -> None:
        if isinstance(event, LoadProgress) and event.total:
            watched.session.cancel()

    watched.on_event = cancel_while_reading
    watched.session.load(tiny_checkpoint)
    assert watched.wait(StateChanged) == StateChanged("empty")
    assert watched.wait(MemoryChanged).memory == MemoryReport()
    assert watched.wait(CommandFailed).cancelled


def test_closing_ends_a_running_generation(tiny_checkpoint: Path, tmp_path: Path) -> None:
    watched = Watched()
    watched.session.load(tiny_checkpoint)
    watched.session.generate(request(tmp_path, steps=150))
    watched.wait(GenerationStep)
    assert watched.session.close(PATIENCE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"mode": "model-offload", "compiled": True}, "compiled code does not follow"),
        ({"mode": "group-offload", "backup": "device"}, "choose cpu, file or auto"),
    ],
)
def test_a_load_that_cannot_be_as_asked_leaves_the_model(
    watched: Watched, tiny_checkpoint: Path, wish: dict[str, Any], words: str
) -> None:
    watched.wait(ModelLoaded)
    watched.session.load(tiny_checkpoint, "cpu", **wish)
    assert words in watched.wait(CommandFailed).message
    watched.session.verify()
    watched.wait(Verified)
    assert StateChanged("empty") not in watched.seen


def test_a_picture_without_room_makes_some_and_says_what_helps(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine import worker

    watched.wait(ModelLoaded)
    freed: list[LoraSwitcher] = []

    def full(*args: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(worker, "generate", full)
    monkeypatch.setattr(LoraSwitcher, "free_device_cache", lambda self: freed.append(self))
    watched.session.generate(request(tmp_path))
    message = watched.wait(CommandFailed).message
    assert message.startswith("There is not enough memory for this picture. Choose a smaller size")
    assert len(freed) == 1
    on_gpu = worker._no_room_for_picture(torch.device("cuda"), "resident")
    assert "move the backups to the CPU, or open the model in another mode" in on_gpu


def test_a_folder_that_takes_no_pictures_is_refused_before_drawing(
    watched: Watched, tmp_path: Path
) -> None:
    watched.wait(ModelLoaded)
    (tmp_path / "file").touch()
    watched.session.generate(request(tmp_path / "file" / "below"))
    assert "is not a folder" in watched.wait(CommandFailed).message
    assert not any(isinstance(event, GenerationStarted) for event in watched.seen)


def test_a_full_disk_loses_no_picture(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_new = save.write_new

    def write(folder: Path, *rest: Any) -> Path:
        if folder == tmp_path / "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_new(folder, *rest)

    monkeypatch.setattr(save, "write_new", write)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    watched.session.generate(request(tmp_path / "full"))
    finished = watched.wait(GenerationFinished)
    (picture,) = finished.pictures
    assert picture.path.exists()
    assert any("no space" in words and str(picture.path) in words for words in finished.warnings)


def test_memory_that_ends_with_the_fingerprints_is_said(
    watched: Watched, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.wait(ModelLoaded)

    def fail(*args: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("engine.worker.LoraSwitcher", fail)
    watched.session.load(tiny_checkpoint, "cpu")
    failed = watched.wait(CommandFailed)
    assert failed.message == "tiny.safetensors does not fit into the memory of cpu."
    assert not failed.unexpected


def test_a_picture_without_its_loras_is_not_drawn(
    watched: Watched, tiny_loras: Path, tmp_path: Path
) -> None:
    session = watched.session
    neon = LoraRef(tiny_loras / "neon.safetensors")
    gone = LoraRef(tiny_loras / "gone.safetensors")
    session.switch([neon])
    session.switch([neon, gone])
    as_text = LoraRef(str(tiny_loras / "neon.safetensors"))
    for number, stack in enumerate(([neon, gone], [], [neon, neon], [neon], [as_text], None)):
        session.generate(request(tmp_path / str(number), steps=1), stack)
    watched.wait(Switched)
    failed = watched.wait(CommandFailed)
    assert (failed.command, failed.path) == ("switch", gone.path)
    for _ in range(3):
        failed = watched.wait(CommandFailed)
        assert failed.command == "generate"
        assert "its LoRAs could not be switched to" in failed.message
    for number in (3, 4, 5):
        assert watched.wait(PictureSaved).path.parent == tmp_path / str(number)


def test_the_file_to_blame_is_named_also_when_it_was_live_before(
    watched: Watched, tiny_loras: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first.safetensors"
    shutil.copyfile(tiny_loras / "neon.safetensors", first)
    watched.session.switch([LoraRef(first)])
    watched.wait(Switched)
    first.unlink()
    watched.session.switch([LoraRef(first), LoraRef(tiny_loras / "neon.safetensors")])
    assert watched.wait(CommandFailed).path == first


def test_a_missing_torch_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "engine.worker", None)
    watched = Watched()
    watched.session.load(None)
    failed = watched.wait(CommandFailed)
    assert failed.command == "load"
    assert failed.message.startswith("The engine cannot be started: ")
    assert not failed.unexpected
    assert watched.session.close(PATIENCE)


def test_a_model_whose_file_was_written_to_is_not_drawn_with(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path
) -> None:
    """On the CPU at the file's own dtype its pages are the weights."""
    path = tmp_path / "model" / tiny_checkpoint.name
    shutil.copytree(tiny_checkpoint.parent, path.parent)
    whole = path.read_bytes()
    watched = Watched()
    watched.session.load(path, "cpu", "float16")
    watched.session.switch([LoraRef(tiny_loras / "neon.safetensors")])
    watched.wait(Switched)
    watched.wait(MemoryChanged)
    with path.open("r+b") as file:
        file.seek(-(len(whole) // 2), os.SEEK_END)
        file.write(bytes(len(whole) // 2))
    watched.session.generate(request(tmp_path / "lost", steps=1))
    failed = watched.wait(CommandFailed)
    assert failed.command == "generate"
    assert "the model's file, whose pages they are, was written to" in failed.message
    assert not failed.unexpected
    watched.session.verify()
    assert watched.wait(Verified).report.different
    with path.open("r+b") as file:
        file.write(whole)
    watched.session.generate(request(tmp_path / "drawn", steps=1), [])
    assert watched.wait(StateChanged) == StateChanged("base")
    assert watched.wait(PictureSaved).path.parent == tmp_path / "drawn"
    assert watched.session.close(PATIENCE)
