"""The wanted stack becomes the live one, whatever is asked for meanwhile; no model is needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CancelledError, LoraRefusedError, SwitchError
from engine.protocol.commands import (
    AdjustStrength,
    CancelAll,
    Command,
    Draw,
    Load,
    PauseQueue,
    SetStack,
    ToggleLora,
)
from engine.protocol.events import (
    FINAL,
    CommandFailed,
    Event,
    EventMessage,
    GenerationCancelled,
    GenerationFinished,
    ModelInfo,
    ModelLoaded,
    StateChanged,
    Switched,
    WorkStarted,
)
from engine.protocol.refs import LoraRef
from engine.protocol.reports import SwitchReport
from engine.protocol.request import GenerateRequest
from engine.protocol.stack_edits import Stack
from engine.session import session as session_module
from engine.session.session import Session
from engine.session.work import Work

if TYPE_CHECKING:
    from engine.session.worker import Tell

A, B = LoraRef(Path("a.safetensors")), LoraRef(Path("b.safetensors"), 0.5, 0.5)
C = LoraRef(Path("c.safetensors"), 0.7, 0.2)
MODEL = ModelInfo("tiny", Path("tiny"), "cpu", "cpu", "float32", 1, 4, 64, is_demo=False)
REQUEST = GenerateRequest("a fox", Path("pictures"), seed=1)


class FakeWorker:
    """Keeps a stack where a model's weights would be; `answer` says how each work ends."""

    def __init__(self, answer: Callable[[], str]) -> None:
        self.answer = answer
        self.tell: Tell
        self.live: Stack = ()
        self.switches: list[Stack] = []
        self.drawn: list[Stack] = []

    def has_open(self, model: Path | None) -> bool:
        return True

    def load(self, command: Load, cancelled: Callable[[], bool], id: str | None) -> None:
        self._become(())
        self.tell(ModelLoaded(MODEL, 1.0), id)

    def switch(self, stack: Stack, cancelled: Callable[[], bool], id: str | None) -> None:
        self.switches.append(stack)
        how = self.answer()
        if cancelled():
            raise CancelledError("The switch was cancelled.")
        if how == "refuse":
            raise LoraRefusedError("It does not fit.")
        if how == "break":
            self._become(())
            raise SwitchError("It broke off.")
        self._become(stack)
        report = SwitchReport(stack, (), 0, 0, 0, 0, 0, 0, "cpu", False, ())
        self.tell(Switched(report), id)

    def read_ahead(self, ref: LoraRef, cancelled: Callable[[], bool]) -> None:
        pass

    def draw(
        self, request: GenerateRequest, cancelled: Callable[[], bool], id: str, on_saved: object
    ) -> bool:
        self.drawn.append(self.live)
        self.answer()
        is_stopped = cancelled()
        self.tell(GenerationCancelled(1, 9) if is_stopped else GenerationFinished((), 1.0), id)
        return not is_stopped

    def _become(self, stack: Stack) -> None:
        self.live = stack
        self.tell(StateChanged("stack" if stack else "base", stack))


class SteppedSession(Session):
    """Does one work at a time, on the test's thread, with a fake worker."""

    def __init__(self, answer: Callable[[], str] = lambda: "done") -> None:
        self.worker = FakeWorker(answer)
        self.ends: dict[str, list[Event]] = {}
        self.stacks: dict[str, Stack] = {}
        """Those that pictures were asked for with."""
        self._steps = 0
        super().__init__(self._note)
        self._thread.join()
        self.ask(Load(MODEL.path))
        self.step()

    def ask(self, command: Command) -> str:
        id = self.send(command, str(len(self.stacks)) if isinstance(command, Draw) else None)
        if isinstance(command, Draw):
            self.stacks[id] = command.stack or ()
        self.ends.setdefault(id, [])
        return id

    def step(self) -> bool:
        """Do what is next; False when there is nothing."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(session_module, "_import_worker", lambda: self._use_worker)
            self._steps, before = 1, self._view.seq
            super()._run()
        return self._view.seq > before

    def finish(self) -> None:
        """Do all there is."""
        while self.step():
            pass

    def _run(self) -> None:
        """Leave the work to `step`."""

    def _next(self) -> Work | None:
        work = self._orders.waiting.take(self._view) if self._steps else None
        self._steps, self._orders.running = 0, work
        if work is not None:
            self.tell(WorkStarted(work.name), work.id)
        return work

    def _use_worker(self, tell: Tell, index: Path | None, store: Path | None) -> FakeWorker:
        self.worker.tell = tell
        return self.worker

    def _note(self, message: EventMessage) -> None:
        if message.answers is not None and isinstance(message.event, FINAL):
            self.ends.setdefault(message.answers, []).append(message.event)


_PRESSES = ["a", "b", "base", "+", "-", "tag A", "tag C", "no tag", "x", "pause", "go on"]
_ANSWERS = ["done", "refuse", "break"]


class Play:
    """Presses keys from a list, and ends what the engine is at where the list says so."""

    def __init__(self, steps: list[str]) -> None:
        self._steps: Iterator[str] = iter(steps)
        self.session = SteppedSession(lambda: "done")
        self.session.worker.answer = self._answer

    def play(self) -> None:
        for step in self._steps:
            if step == "begin":
                self.session.step()
            else:
                self._press(step)

    def _answer(self) -> str:
        """What is pressed while something is being done, and how that ends."""
        for step in self._steps:
            if step in _ANSWERS:
                return step
            self._press(step)
        return "done"

    def _press(self, step: str) -> None:
        session, wanted = self.session, self.session.view.wanted
        match step:
            case "a" | "b":
                session.ask(ToggleLora(A if step == "a" else B))
            case "base":
                session.ask(SetStack())
            case "+" | "-":
                for ref in wanted[:1]:
                    session.ask(AdjustStrength(ref.path, 0.05 if step == "+" else -0.05))
            case "tag A" | "tag C" | "no tag":
                tagged = {"tag A": (A.at(0.3),), "tag C": (C,)}.get(step, ())
                session.ask(Draw(REQUEST, (*wanted, *tagged)))
            case "x":
                session.ask(CancelAll())
            case "pause" | "go on":
                session.ask(PauseQueue(step == "pause"))


@given(
    st.lists(st.sampled_from([*_PRESSES, *_ANSWERS, *["begin"] * 4]), max_size=60),
    st.lists(st.sampled_from(_ANSWERS), max_size=4),
)
def test_the_live_stack_ends_as_the_wanted_one(steps: list[str], last: list[str]) -> None:
    """Whatever is pressed and however the engine answers, and switches do not pile up."""
    play = Play(steps)
    session, worker = play.session, play.session.worker
    play.play()
    session.ask(PauseQueue(False))
    waiting, before = len(session.view.waiting), len(worker.switches)
    answers = iter(last)
    worker.answer = lambda: next(answers, "done")
    session.finish()
    assert session.view.live == worker.live
    assert session.view.live == session.view.wanted
    assert session.view.is_idle
    assert session.view.jobs == ()
    # The newest wish, one before each picture, and the wanted stack again, or the one before it.
    assert len(worker.switches) - before <= 1 + waiting + 2
    assert {id: len(ends) for id, ends in session.ends.items()} == dict.fromkeys(session.ends, 1)
    finished = [id for id, ends in session.ends.items() if isinstance(ends[0], GenerationFinished)]
    drawn = [Counter(stack) for stack in worker.drawn]
    for id in finished:
        assert Counter(session.stacks[id]) in drawn, "a picture has the stack it was asked with"


def ended(session: SteppedSession, id: str) -> Event:
    (event,) = session.ends[id]
    return event


def refuse_next(session: SteppedSession) -> None:
    answers = iter(["refuse"])
    session.worker.answer = lambda: next(answers, "done")


def test_a_refused_lora_leaves_what_was_live() -> None:
    session = SteppedSession()
    session.ask(SetStack((A,)))
    session.finish()
    refuse_next(session)
    id = session.ask(ToggleLora(B))
    session.finish()
    assert isinstance(ended(session, id), CommandFailed)
    assert session.view.wanted == session.view.live == (A,)


def test_a_pictures_own_loras_that_are_refused_leave_the_stack() -> None:
    session = SteppedSession()
    session.ask(SetStack((A,)))
    session.finish()
    refuse_next(session)
    id = session.ask(Draw(REQUEST, (A, C)))
    session.finish()
    failed = ended(session, id)
    assert isinstance(failed, CommandFailed)
    assert failed.command == "draw"
    assert session.view.wanted == session.view.live == (A,)
    assert session.worker.switches == [(A,), (A, C)], "the stack is live: nothing to switch"
    assert session.worker.drawn == []


def test_a_refused_lora_leaves_the_pictures_that_wait_their_stacks() -> None:
    session = SteppedSession()
    session.ask(SetStack((A,)))
    session.ask(Draw(REQUEST, (A, C)))
    session.finish()
    refuse_next(session)
    session.ask(ToggleLora(B))
    session.ask(Draw(REQUEST, (A, B)))
    session.finish()
    assert session.worker.drawn == [(A, C), (A, B)]
    assert session.view.wanted == session.view.live == (A,)


def test_held_keys_switch_to_the_last_strength_alone() -> None:
    session = SteppedSession()
    session.ask(SetStack((A,)))

    def hold() -> str:
        session.worker.answer = lambda: "done"
        for _ in range(9):
            session.ask(AdjustStrength(A.path, 0.05))
        return "done"

    session.worker.answer = hold
    session.finish()
    assert session.worker.switches == [(A,), (A.at(1.45),)]


def test_a_picture_cancelled_as_it_begins_is_not_drawn() -> None:
    session = SteppedSession()

    def cancel(message: EventMessage) -> None:
        session._note(message)
        if message.event == WorkStarted("draw"):
            session.ask(CancelAll())

    session.attach(cancel)
    id = session.ask(Draw(REQUEST, ()))
    session.finish()
    assert isinstance(ended(session, id), GenerationCancelled)
    assert session.view.jobs == ()
