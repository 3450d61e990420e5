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
from engine.files.hashes import hash_file
from engine.generate import save
from engine.generate.infotext import parse_infotext
from engine.generate.save import read_infotext
from engine.protocol.commands import (
    CancelAll,
    Draw,
    Load,
    MoveJob,
    PauseQueue,
    Prefetch,
    SetBackup,
    SetStack,
    Verify,
)
from engine.protocol.events import (
    FINAL,
    BackupMoved,
    CommandFailed,
    Done,
    Event,
    EventMessage,
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
from engine.protocol.refs import LoraRef
from engine.protocol.reports import MemoryReport
from engine.protocol.request import GenerateRequest
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

    def _take(self, message: EventMessage) -> None:
        self.on_event(message.event)
        self.events.put(message.event)

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
    watched.session.send(Load(tiny_checkpoint, device="cpu", dtype="float32"))
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
    session.send(Draw(request(tmp_path)))
    assert watched.wait(GenerationStarted).seed == 7
    step = watched.wait(GenerationStep)
    assert step.preview is not None
    assert len(step.preview.rgb) == 3 * step.preview.width * step.preview.height
    base = watched.wait(PictureSaved)
    assert watched.wait(GenerationFinished).pictures == (base,)

    stack = [LoraRef(tiny_loras / "neon.safetensors", 0.8, 0.5)]
    session.send(SetStack(tuple(stack)))
    report = watched.wait(Switched).report
    assert report.stack == tuple(stack)
    assert report.text_encoders_changed
    view = session.view
    assert (view.state, view.live) == ("stack", tuple(stack))
    assert view.memory.backup == report.backup_bytes > 0

    session.send(Draw(request(tmp_path)))
    switched = watched.wait(PictureSaved)
    assert pixels(switched) != pixels(base)

    session.send(SetBackup("cpu"))
    assert watched.wait(BackupMoved).bytes == report.backup_bytes
    session.send(Verify())
    assert watched.wait(Verified).report.different == ()

    session.send(SetStack())
    assert watched.wait(Switched).report.restored == report.merged
    session.send(Draw(request(tmp_path)))
    assert pixels(watched.wait(PictureSaved)) == pixels(base)


def test_the_infotext_says_what_was_drawn(
    watched: Watched, tiny_loras: Path, tmp_path: Path
) -> None:
    lora = tiny_loras / "neon.safetensors"
    watched.session.send(SetStack((LoraRef(lora, 0.8, 0.5),)))
    watched.session.send(Draw(request(tmp_path, negative_prompt="blurry", cfg_scale=4.5)))
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
            session.send(CancelAll())

    watched.on_event = cancel_at_the_second_step
    session.send(Draw(request(tmp_path, steps=50)))
    session.send(Draw(request(tmp_path, steps=50)))
    assert watched.wait(GenerationCancelled) == GenerationCancelled(0, 0), "each is answered"
    assert watched.wait(GenerationCancelled) == GenerationCancelled(2, 50)
    session.send(Draw(request(tmp_path, steps=1, seed=9)))
    assert watched.wait(GenerationStarted).seed == 9, "commands after a cancel are done"
    watched.wait(GenerationFinished)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("width", [63, 100])
def test_a_size_that_does_not_work_is_refused(watched: Watched, tmp_path: Path, width: int) -> None:
    watched.wait(StateChanged)
    watched.session.send(Draw(request(tmp_path, width=width)))
    failed = watched.wait(CommandFailed)
    assert failed.command == "draw"
    assert "multiple of 8" in failed.message
    assert not failed.unexpected


def test_a_refused_lora_leaves_the_stack(
    watched: Watched, tiny_loras: Path, tmp_path: Path
) -> None:
    good = (LoraRef(tiny_loras / "neon.safetensors"),)
    watched.session.send(SetStack(good))
    watched.wait(Switched)
    watched.session.send(SetStack((LoraRef(tmp_path / "gone.safetensors"),)))
    failed = watched.wait(CommandFailed)
    assert "gone.safetensors" in failed.message
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no header")
    watched.session.send(SetStack((LoraRef(broken),)))
    failed = watched.wait(CommandFailed)
    assert (failed.path, failed.modified) == (broken, broken.stat().st_mtime_ns)
    view = watched.session.view
    assert (view.state, view.live, view.wanted) == ("stack", good, good)


def test_a_missing_model_is_said_and_nothing_else_breaks(tmp_path: Path) -> None:
    watched = Watched()
    watched.session.send(Load(tmp_path / "gone.safetensors"))
    assert "gone.safetensors" in watched.wait(CommandFailed).message
    watched.session.send(Verify())
    assert "No model is loaded" in watched.wait(CommandFailed).message
    assert watched.session.close(PATIENCE)


def test_of_thousands_of_tensors_some_are_told(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.session import loading

    # A tensor every millisecond.
    ticks = itertools.count()
    clock = SimpleNamespace(**vars(loading.time) | {"monotonic": lambda: next(ticks) / 1000})
    monkeypatch.setattr(loading, "time", clock)
    watched = Watched()
    watched.session.send(Load(tiny_checkpoint, device="cpu"))
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
            watched.session.send(CancelAll())

    watched.on_event = cancel_while_reading
    watched.session.send(Load(tiny_checkpoint))
    stopped = CommandFailed("load", "The loading was cancelled.", cancelled=True)
    assert watched.wait(CommandFailed) == stopped
    watched.session.send(Verify())
    assert "No model is loaded" in watched.wait(CommandFailed).message
    watched.on_event = lambda event: None
    watched.session.send(Load(tiny_checkpoint))
    watched.wait(ModelLoaded)
    assert watched.session.close(PATIENCE)


def test_each_command_has_one_answer_also_when_a_cancel_drops_it(
    watched: Watched, tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path
) -> None:
    session, neon = watched.session, LoraRef(tiny_loras / "neon.safetensors")
    answers: dict[str, list[Event]] = {}
    session.attach(lambda message: (_note(answers, message), watched._take(message))[-1])
    watched.wait(MemoryChanged)
    sent: list[str] = []
    held = threading.Event()

    def hold_and_cancel(event: Event) -> None:
        if isinstance(event, GenerationStarted) and not held.is_set():
            commands = (
                SetStack((neon,)), Draw(request(tmp_path)), Prefetch(neon), Load(tiny_checkpoint),
                Verify(), CancelAll(), Draw(request(tmp_path, steps=1)),
            )  # fmt: skip
            sent.extend(map(session.send, commands))
            held.set()

    watched.on_event = hold_and_cancel
    first = session.send(Draw(request(tmp_path)))
    assert held.wait(PATIENCE)
    watched.wait_for_any((GenerationFinished,))
    session.send(Verify())
    watched.wait_for_any((Verified,))
    # What is read ahead comes last.
    while not all(id in answers for id in sent):
        watched.wait_for_any((Done,))
    kinds = [[type(event) for event in answers[id]] for id in (*sent, first)]
    assert kinds == [
        [Switched], [GenerationCancelled], [Done], [CommandFailed], [Verified], [Done],
        [GenerationFinished], [GenerationCancelled],
    ]  # fmt: skip
    dropped = CommandFailed("load", "The loading was cancelled before it began.", cancelled=True)
    assert answers[sent[3]] == [dropped]


def _note(answers: dict[str, list[Event]], message: EventMessage) -> None:
    if message.answers is not None and isinstance(message.event, FINAL):
        answers.setdefault(message.answers, []).append(message.event)


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
    watched.session.send(Prefetch(LoraRef(tiny_loras / "neon.safetensors")))
    assert begun.wait(PATIENCE)
    watched.session.send(Verify())
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
    watched.session.send(Prefetch(neon))
    assert begun.wait(PATIENCE)
    watched.session.send(SetStack((neon.at(0.5),)))
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
        watched.session.send(Load(tiny_checkpoint, "cpu", "float32", vae=vae))
        watched.wait(ModelLoaded)
        watched.session.send(Draw(request(tmp_path / "out", steps=1)))
        drawn.append(pixels(watched.wait(PictureSaved)))
    assert drawn[0] != drawn[1]
    watched.wait(GenerationFinished)
    lora = tiny_loras / "neon.safetensors"
    watched.session.send(Load(tiny_checkpoint, vae=lora))
    failed = watched.wait_for_any((CommandFailed, ModelLoaded))
    assert isinstance(failed, CommandFailed)
    assert "neon.safetensors: this is no VAE" in failed.message
    watched.session.send(Draw(request(tmp_path / "out", steps=1)))
    assert pixels(watched.wait(PictureSaved)) == drawn[1], "the model that was there stays"
    assert watched.session.close(PATIENCE)


def test_a_path_that_no_system_can_open_is_said(tmp_path: Path) -> None:
    watched = Watched()
    for path in (tmp_path / "a\0b.safetensors", tmp_path / ("long" * 100)):
        watched.session.send(Load(path))
        failed = watched.wait(CommandFailed)
        assert "cannot be opened" in failed.message
        assert not failed.unexpected
    assert watched.session.close(PATIENCE)


def test_a_model_that_left_is_told_with_its_memory(watched: Watched, tiny_checkpoint: Path) -> None:
    watched.wait(MemoryChanged)

    def cancel_while_reading(event: Event) -> None:
        if isinstance(event, LoadProgress) and event.total:
            watched.session.send(CancelAll())

    watched.on_event = cancel_while_reading
    watched.session.send(Load(tiny_checkpoint))
    assert watched.wait(StateChanged) == StateChanged("empty")
    assert watched.wait(MemoryChanged).memory == MemoryReport()
    assert watched.wait(CommandFailed).cancelled


def test_closing_ends_a_running_generation(tiny_checkpoint: Path, tmp_path: Path) -> None:
    watched = Watched()
    watched.session.send(Load(tiny_checkpoint))
    watched.session.send(Draw(request(tmp_path, steps=150)))
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
    watched.session.send(Load(tiny_checkpoint, "cpu", **wish))
    assert words in watched.wait(CommandFailed).message
    watched.session.send(Verify())
    watched.wait(Verified)
    assert StateChanged("empty") not in watched.seen


def test_a_picture_without_room_makes_some_and_says_what_helps(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.session import drawing

    watched.wait(ModelLoaded)
    freed: list[LoraSwitcher] = []

    def full(*args: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(drawing, "generate", full)
    monkeypatch.setattr(LoraSwitcher, "free_device_cache", lambda self: freed.append(self))
    watched.session.send(Draw(request(tmp_path)))
    message = watched.wait(CommandFailed).message
    assert message.startswith("There is not enough memory for this picture. Choose a smaller size")
    assert len(freed) == 1
    on_gpu = drawing._no_room_for_picture(torch.device("cuda"), "resident")
    assert "move the backups to the CPU, or open the model in another mode" in on_gpu


def test_a_folder_that_takes_no_pictures_is_refused_before_drawing(
    watched: Watched, tmp_path: Path
) -> None:
    watched.wait(ModelLoaded)
    (tmp_path / "file").touch()
    watched.session.send(Draw(request(tmp_path / "file" / "below")))
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
    watched.session.send(Draw(request(tmp_path / "full")))
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

    monkeypatch.setattr("engine.session.loading.LoraSwitcher", fail)
    watched.session.send(Load(tiny_checkpoint, "cpu"))
    failed = watched.wait(CommandFailed)
    assert failed.message == "tiny.safetensors does not fit into the memory of cpu."
    assert not failed.unexpected


def test_each_picture_has_the_stack_it_was_asked_for_with(
    watched: Watched, tiny_loras: Path, tmp_path: Path
) -> None:
    session = watched.session
    neon = LoraRef(tiny_loras / "neon.safetensors")
    gone = LoraRef(tiny_loras / "gone.safetensors")
    watched.wait(MemoryChanged)
    session.send(PauseQueue())
    session.send(SetStack((neon,)))
    ids = [
        session.send(Draw(request(tmp_path / str(number), steps=1), stack))
        for number, stack in enumerate((None, (), (neon, gone), (neon,)))
    ]
    session.send(SetStack())
    assert [job.stack for job in session.view.jobs] == [(neon,), (), (neon, gone), (neon,)]
    session.send(MoveJob(ids[3], before=ids[0]))
    session.send(PauseQueue(False))
    for number, stack in ((3, (neon,)), (0, (neon,)), (1, ())):
        finished = watched.wait(GenerationFinished)
        assert finished.pictures[0].path.parent == tmp_path / str(number)
        assert finished.stack == stack
    failed = watched.wait(CommandFailed)
    assert (failed.command, failed.path, failed.refused) == ("draw", gone.path, True)
    (refusal,) = session.view.refused
    assert (refusal.path, refusal.message) == (gone.path, failed.message)
    assert session.view.jobs == ()
    switches = [event for event in watched.seen if isinstance(event, Switched)]
    # To neon for the first two, to the base for the third, and the wanted base stays.
    assert len(switches) <= 4
    assert session.view.live == session.view.wanted == ()


def test_the_file_to_blame_is_named_also_when_it_was_live_before(
    watched: Watched, tiny_loras: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first.safetensors"
    shutil.copyfile(tiny_loras / "neon.safetensors", first)
    watched.session.send(SetStack((LoraRef(first),)))
    watched.wait(Switched)
    first.unlink()
    watched.session.send(
        SetStack(
            (
                LoraRef(first),
                LoraRef(tiny_loras / "neon.safetensors"),
            )
        )
    )
    assert watched.wait(CommandFailed).path == first


def test_a_missing_torch_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "engine.session.worker", None)
    watched = Watched()
    watched.session.send(Load(None))
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
    watched.session.send(Load(path, "cpu", "float16"))
    neon = (LoraRef(tiny_loras / "neon.safetensors"),)
    watched.session.send(SetStack(neon))
    watched.wait(Switched)
    with path.open("r+b") as file:
        file.seek(-(len(whole) // 2), os.SEEK_END)
        file.write(bytes(len(whole) // 2))
    watched.session.send(Draw(request(tmp_path / "lost", steps=1)))
    failed = watched.wait(CommandFailed)
    assert failed.command == "draw"
    assert "the model's file, whose pages they are, was written to" in failed.message
    assert not failed.unexpected
    watched.session.send(Verify())
    # The stack is tried again, since it is wanted, and fails in the same way.
    verified = watched.wait_for_any((Verified,))
    assert isinstance(verified, Verified)
    assert verified.report.different
    with path.open("r+b") as file:
        file.write(whole)
    watched.session.send(Draw(request(tmp_path / "drawn", steps=1), ()))
    assert watched.wait(PictureSaved).path.parent == tmp_path / "drawn"
    assert watched.session.view.state == "base"
    watched.session.send(SetStack(neon))
    assert watched.wait(Switched).report.stack == neon
    assert watched.session.close(PATIENCE)
