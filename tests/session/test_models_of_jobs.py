"""Jobs carry their model; another one is opened after them, and the users' own comes back."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from engine.errors import EngineError
from engine.protocol.commands import CancelAll, CancelJob, Draw, Load, PauseQueue, SetStack, Unload
from engine.protocol.events import (
    FINAL,
    CommandFailed,
    EventMessage,
    GenerationCancelled,
    GenerationFinished,
    ModelInfo,
    ModelLoaded,
    ModelUnloaded,
    StateChanged,
    Switched,
)
from engine.protocol.jobs import Job
from engine.protocol.refs import LoraRef
from engine.protocol.reports import SwitchReport
from engine.protocol.request import GenerateRequest
from engine.protocol.view import EngineView
from engine.session import session as session_module
from engine.session.session import Session

PATIENCE = 20.0
A, B, BROKEN = Path("/models/a"), Path("/models/b"), Path("/models/broken")
TOO_LARGE = Path("/models/too-large")
INK, NEON = LoraRef(Path("/loras/ink")), LoraRef(Path("/loras/neon"))
ANY_MODEL = ModelInfo("", A, "cpu", "CPU", "float32", 1, 1, 64, is_demo=False)


class FakeWorker:
    """Notes what is done in place of doing it; drawing waits until the test lets it go on."""

    done: list[tuple[Any, ...]]
    may_draw: threading.Event
    fault: Exception | None
    while_drawing: Callable[[str], object]

    def __init__(self, tell: Callable[..., None], index: Path | None, store: Path | None) -> None:
        self._tell = tell
        self._open: Path | None = None
        self.live: tuple[LoraRef, ...] = ()

    def has_open(self, model: Path | None) -> bool:
        return self._open == model

    def load(self, command: Load, cancelled: Callable[[], bool], id: str | None) -> None:
        if command.model == BROKEN:
            raise EngineError("It is broken.")
        if command.model == TOO_LARGE:
            self.unload(None)
            raise EngineError("It does not fit into memory.")
        self.done.append(("load", command.model))
        self._open, self.live = command.model, ()
        model = structs.replace(ANY_MODEL, path=command.model or Path("/demo"))
        self._tell(ModelLoaded(model, 1.0), id)
        self._tell(StateChanged("base"))

    def unload(self, id: str | None) -> None:
        self.done.append(("unload",))
        self._open, self.live = None, ()
        self._tell(StateChanged("empty"))
        if id is not None:
            self._tell(ModelUnloaded(), id)

    def switch(
        self, stack: tuple[LoraRef, ...], cancelled: Callable[[], bool], id: str | None
    ) -> None:
        self.done.append(("switch", tuple(ref.name for ref in stack)))
        self.live = stack
        self._tell(StateChanged("stack" if stack else "base", stack))
        self._tell(Switched(SwitchReport(stack, (), 1, 1, 0, 0, 1, 1, "device", False, ())), id)

    def read_ahead(self, ref: LoraRef, cancelled: Callable[[], bool]) -> None:
        pass

    def draw(self, request: GenerateRequest, cancelled: Any, id: str, on_saved: Any) -> bool:
        assert self.may_draw.wait(PATIENCE)
        self.while_drawing(id)
        if self.fault is not None:
            raise self.fault
        self.done.append(("draw", request.prompt))
        self._tell(GenerationFinished((), 1.0, (), self.live, ()), id)
        return True


class Watched:
    """A session with the fake worker, and what it has told."""

    def __init__(self, **options: Any) -> None:
        self.ends: queue.SimpleQueue[EventMessage] = queue.SimpleQueue()
        self.session = Session(self._hear, **options)

    def _hear(self, message: EventMessage) -> None:
        if isinstance(message.event, FINAL) and message.answers is not None:
            self.ends.put(message)

    def until(self, id: str) -> Any:
        """The event that ends a command."""
        while (message := self.ends.get(timeout=PATIENCE)).answers != id:
            pass
        return message.event


@pytest.fixture(autouse=True)
def worker(monkeypatch: pytest.MonkeyPatch) -> type[FakeWorker]:
    monkeypatch.setattr(session_module, "_import_worker", lambda: FakeWorker)
    FakeWorker.done, FakeWorker.may_draw, FakeWorker.fault = [], threading.Event(), None
    FakeWorker.may_draw.set()
    monkeypatch.setattr(FakeWorker, "while_drawing", lambda self, id: None, raising=False)
    return FakeWorker


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    watched.until(watched.session.send(Load(A)))
    yield watched
    FakeWorker.may_draw.set()
    assert watched.session.close(PATIENCE)


def picture(name: str, stack: tuple[LoraRef, ...] | None = None) -> Draw:
    return Draw(GenerateRequest(name, Path("/pictures"), seed=1), stack)


def test_another_model_waits_for_the_jobs_before_it(watched: Watched) -> None:
    FakeWorker.may_draw.clear()
    session = watched.session
    for name in ("first", "second"):
        session.send(picture(name))
    loading = session.send(Load(B))
    last = session.send(picture("third"))
    FakeWorker.may_draw.set()
    assert isinstance(watched.until(loading), ModelLoaded)
    watched.until(last)
    assert FakeWorker.done == [
        ("load", A),
        ("draw", "first"),
        ("draw", "second"),
        ("load", B),
        ("draw", "third"),
    ]


def test_of_a_queue_that_is_paused_it_does_not_wait_and_comes_back_after_its_jobs(
    watched: Watched,
) -> None:
    session = watched.session
    watched.until(session.send(PauseQueue()))
    job = session.send(picture("kept", (INK,)))
    session.send(SetStack((NEON,)))
    watched.until(session.send(Load(B)))
    watched.until(session.send(PauseQueue(False)))
    watched.until(job)
    watched.until(session.send(picture("of B")))
    assert [done for done in FakeWorker.done if done[0] != "switch"] == [
        ("load", A),
        ("load", B),
        ("load", A),
        ("draw", "kept"),
        ("load", B),
        ("draw", "of B"),
    ]
    assert FakeWorker.done[-2:] == [("switch", ("neon",)), ("draw", "of B")]


def test_a_model_that_fails_changes_nothing_for_the_next_picture(watched: Watched) -> None:
    session = watched.session
    failed = watched.until(session.send(Load(BROKEN)))
    assert isinstance(failed, CommandFailed)
    assert session.last_load == Load(A)
    assert isinstance(watched.until(session.send(picture("still A"))), GenerationFinished)


def test_a_load_that_is_cancelled_while_it_waits_changes_nothing(watched: Watched) -> None:
    FakeWorker.may_draw.clear()
    session = watched.session
    session.send(picture("first"))
    loading = session.send(Load(B))
    session.send(CancelAll())
    assert watched.until(loading).cancelled
    assert session.last_load == Load(A)


def test_a_lost_gpu_leaves_its_job_to_the_next_engine() -> None:
    lost: list[str] = []
    found = threading.Event()

    def on_lost(reason: str) -> None:
        lost.append(reason)
        found.set()

    FakeWorker.fault = RuntimeError("CUDA error: an illegal memory access was encountered")
    watched = Watched(on_lost=on_lost)
    watched.session.send(Load(A))
    id = watched.session.send(picture("deadly"))
    assert found.wait(PATIENCE)
    assert watched.session.close(PATIENCE)
    assert "illegal memory access" in lost[0]
    (job,) = watched.session.view.jobs
    assert (job.id, job.state, job.attempts) == (id, "running", 1)


def test_a_new_engine_draws_what_the_last_one_left() -> None:
    request = GenerateRequest("left", Path("/pictures"), seed=1)
    view = EngineView(wanted=(NEON,), jobs=(Job("left", request, (INK,), A, attempts=1),))
    watched = Watched(view=view)
    watched.session.send(Load(A))
    assert isinstance(watched.until("left"), GenerationFinished)
    assert watched.session.close(PATIENCE)


def test_a_jobs_own_model_that_does_not_fit_gives_way_to_the_users_again() -> None:
    request = GenerateRequest("too much", Path("/pictures"), seed=1)
    view = EngineView(jobs=(Job("left", request, (), TOO_LARGE),), paused=True)
    watched = Watched(view=view)
    session = watched.session
    watched.until(session.send(Load(A)))
    job = session.send(picture("of A"))
    session.send(PauseQueue(False))
    assert "does not fit" in watched.until("left").message
    assert isinstance(watched.until(job), GenerationFinished)
    assert FakeWorker.done == [("load", A), ("unload",), ("load", A), ("draw", "of A")]
    assert session.close(PATIENCE)


def test_what_is_unloaded_keeps_its_queue_until_it_is_loaded_again(watched: Watched) -> None:
    session = watched.session
    watched.until(session.send(PauseQueue()))
    job = session.send(picture("kept", (INK,)))
    assert isinstance(watched.until(session.send(Unload())), ModelUnloaded)
    watched.until(session.send(PauseQueue(False)))
    assert session.view.model is None
    assert [job.id for job in session.view.jobs] == [job]
    watched.until(session.send(Load(A)))
    assert isinstance(watched.until(job), GenerationFinished)
    assert FakeWorker.done[1:5] == [
        ("unload",),
        ("load", A),
        ("switch", ("ink",)),
        ("draw", "kept"),
    ]


def test_what_goes_on_for_ever_is_stopped_also_after_its_last_step(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, drawn = watched.session, list[str]()

    def stop_at_the_third(self: FakeWorker, id: str) -> None:
        drawn.append(id)
        if len(drawn) == 3:
            session.send(CancelJob(id))

    monkeypatch.setattr(FakeWorker, "while_drawing", stop_at_the_third)
    request = GenerateRequest("again", Path("/pictures"), seed=1)
    job = session.send(Draw(request, forever=True))
    for _ in range(3):
        assert isinstance(watched.until(job), GenerationFinished)
    assert isinstance(watched.until(job), GenerationCancelled)
    watched.until(session.send(picture("last")))
    assert drawn[:3] == [job] * 3
    assert len(drawn) == 4
    assert session.view.jobs == ()
