"""What is asked of an engine: done at once where no tensor is needed, else set to wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from msgspec import structs

from engine.errors import EngineError
from engine.generate.check import check_request
from engine.protocol.commands import (
    AdjustStrength,
    Audition,
    AuditionAhead,
    CancelAll,
    CancelJob,
    ChangeMember,
    Command,
    Draw,
    KeepAudition,
    Load,
    MoveJob,
    MovePicture,
    PauseQueue,
    Prefetch,
    RetryJob,
    SetBackup,
    SetDraft,
    SetStack,
    ToggleLora,
    Unload,
    Verify,
)
from engine.protocol.events import (
    CommandFailed,
    Done,
    DraftChanged,
    Event,
    GenerationCancelled,
    JobChanged,
    JobQueued,
    JobsReordered,
    PictureMoved,
    QueuePaused,
    StackWanted,
    StopRequested,
    Superseded,
)
from engine.protocol.jobs import Job
from engine.protocol.request import GenerateRequest, draw_seed
from engine.protocol.stack_edits import Stack, adjusted, changed, toggled
from engine.protocol.view import EngineView
from engine.session.work import AheadWork, AuditionWork, PrefetchWork, UpkeepWork, Waiting, Work

MOST_JOBS = 10_000


class Tell(Protocol):
    """Where events go, with the id of the command that they answer."""

    def __call__(self, event: Event, answers: str | None = None) -> None: ...


class Orders:
    """Takes commands; whoever holds the session's lock may use it."""

    def __init__(self, tell: Tell, view: Callable[[], EngineView]) -> None:
        self._tell = tell
        self._view = view
        self.waiting = Waiting()
        self.running: Work | None = None
        """What the engine's thread is at."""
        self.stopped: set[str] = set()
        """Ids of what is to stop."""
        self.load: Load | None = None
        """How the users' model was asked for."""
        self.opened: Load | None = None
        """How the model that is open was asked for."""

    def take(self, id: str, command: Command) -> None:
        """Take a command in."""
        match command:
            case SetStack() | ToggleLora() | AdjustStrength() | ChangeMember():
                self._wish(id, _edited(self._view().wanted, command))
            case Draw():
                self._queue(id, command)
            case Audition(request=request, stack=stack):
                self._audition(id, request, tuple(stack))
            case AuditionAhead(request=request, stack=stack):
                self._drop_ahead()
                ahead = AheadWork(id, request.with_seeds(draw_seed), tuple(stack))
                if self._view().model is None:
                    self._tell(Superseded(), id)
                else:
                    self.waiting.ahead = ahead
            case KeepAudition(request=request, stack=stack):
                kept = KeepAudition(request.with_seeds(draw_seed), tuple(stack))
                self.waiting.upkeep.append(UpkeepWork(id, kept))
            case MovePicture(path=path, to=to):
                self._tell(PictureMoved(path, to))
                self._tell(Done(), id)
            case CancelAll():
                self._cancel_all(id)
            case CancelJob(job=job):
                self._cancel_job(id, job)
            case MoveJob(job=job, before=before):
                self._move(id, job, before)
            case RetryJob(job=job):
                self._retry(id, job)
            case PauseQueue(paused=paused):
                self._tell(QueuePaused(paused))
                self._tell(Done(), id)
            case SetDraft(draft=draft):
                self._tell(DraftChanged(draft))
                self._tell(Done(), id)
            case Prefetch():
                if self.waiting.prefetch is not None:
                    self._tell(Superseded(), self.waiting.prefetch.id)
                self.waiting.prefetch = PrefetchWork(id, command)
            case Load():
                # The newest choice counts alone: loading takes too long to wait for others.
                self._cancel_loads()
                self.waiting.upkeep.append(UpkeepWork(id, command, self._jobs_before(command)))
                self.load = command
            case Unload():
                self._cancel_loads()
                self.waiting.upkeep.append(UpkeepWork(id, command))
            case SetBackup() | Verify():
                self.waiting.upkeep.append(UpkeepWork(id, command))

    def _wish(self, id: str, stack: Stack) -> None:
        if self.waiting.wish is not None:
            self._tell(Superseded(), self.waiting.wish)
        self.waiting.wish = id
        if stack != self._view().wanted:
            self._tell(StackWanted(stack), id)

    def _jobs_before(self, load: Load) -> frozenset[str]:
        """The jobs that wait to be drawn with another model than this one."""
        return frozenset(job.id for job in self._view().waiting if job.model != load.model)

    def _queue(self, id: str, command: Draw) -> None:
        request = command.request
        try:
            self._require_room(id)
            check_request(_sized(request))
        except EngineError as error:
            self._tell(CommandFailed("draw", str(error)), id)
            return
        request = request.with_seeds(draw_seed)
        stack = self._view().wanted if command.stack is None else tuple(command.stack)
        model = self.load.model if self.load else None
        job = Job(id, request, stack, model, command.forever, command.turns)
        self._tell(JobQueued(job), id)

    def _audition(self, id: str, request: GenerateRequest | None, stack: Stack) -> None:
        self._drop_audition()
        if request is None:
            self._drop_ahead()
            self._tell(Done(), id)
            return
        try:
            if self._view().model is None:
                raise EngineError("No model is loaded, so there is nothing to draw with.")
            check_request(_sized(request))
        except EngineError as error:
            self._tell(CommandFailed("audition", str(error)), id)
            return
        self.waiting.audition = AuditionWork(id, request.with_seeds(draw_seed), stack)

    def _drop_audition(self) -> None:
        """Stop the picture to look at, running or waiting."""
        waiting, self.waiting.audition = self.waiting.audition, None
        if waiting is not None:
            self._tell(Superseded(), waiting.id)
        if isinstance(self.running, AuditionWork):
            self.stopped.add(self.running.id)

    def _drop_ahead(self) -> None:
        """Forget the picture that may be looked at next, if it waits."""
        waiting, self.waiting.ahead = self.waiting.ahead, None
        if waiting is not None:
            self._tell(Superseded(), waiting.id)

    def _require_room(self, id: str) -> None:
        if self._view().model is None and not self._loads():
            raise EngineError("No model is loaded, so there is nothing to draw with.")
        if len(self._view().jobs) >= MOST_JOBS:
            raise EngineError(f"The queue is full: {MOST_JOBS:,} pictures wait.")
        if any(job.id == id for job in self._view().jobs):
            raise EngineError(f"A job with the id {id[:64]} is in the queue already.")

    def _cancel_all(self, id: str) -> None:
        self._drop_audition()
        self._drop_ahead()
        if isinstance(self.running, AheadWork):
            self.stopped.add(self.running.id)
        for job in self._view().jobs:
            self._stop(job)
        self._cancel_loads()
        self._tell(Done(), id)

    def _cancel_job(self, id: str, name: str) -> None:
        if (job := self._find(id, name)) is not None:
            self._stop(job)
            self._tell(Done(), id)

    def _stop(self, job: Job) -> None:
        # The engine's thread may have taken it and not said so yet.
        if self.running is not None and self.running.id == job.id:
            self._stop_running(job.id)
        else:
            self._tell(GenerationCancelled(0, 0), job.id)

    def _stop_running(self, id: str) -> None:
        self.stopped.add(id)
        self._tell(StopRequested())

    def _loads(self) -> list[UpkeepWork]:
        """The loads that run or wait."""
        works = [self.running, *self.waiting.upkeep]
        return [w for w in works if isinstance(w, UpkeepWork) and isinstance(w.command, Load)]

    def _cancel_loads(self) -> None:
        for work in self._loads():
            if work is self.running:
                self._stop_running(work.id)
            else:
                self.waiting.upkeep.remove(work)
                words = "The loading was cancelled before it began."
                self._tell(CommandFailed("load", words, cancelled=True), work.id)
                self.keep_open_model()

    def keep_open_model(self) -> None:
        """What is asked for from now on is about the model that is open, not one that failed."""
        if self._view().model is not None:
            self.load = self.opened

    def _move(self, id: str, name: str, before: str | None) -> None:
        if self._find(id, name) is None:
            return
        order = [job.id for job in self._view().jobs if job.id != name]
        order.insert(order.index(before) if before in order else len(order), name)
        self._tell(JobsReordered(tuple(order)))
        self._tell(Done(), id)

    def _retry(self, id: str, name: str) -> None:
        if (job := self._find(id, name)) is not None:
            if job.state == "set aside":
                self._tell(JobChanged(structs.replace(job, state="waiting", attempts=0, reason="")))
            self._tell(Done(), id)

    def _find(self, id: str, name: str) -> Job | None:
        job = next((job for job in self._view().jobs if job.id == name), None)
        if job is None:
            self._tell(CommandFailed("queue", "This picture is no longer in the queue."), id)
        return job


def _edited(stack: Stack, edit: SetStack | ToggleLora | AdjustStrength | ChangeMember) -> Stack:
    match edit:
        case SetStack(stack=wanted):
            return tuple(wanted)
        case ToggleLora(ref=ref):
            return toggled(stack, ref)
        case AdjustStrength(path=path, delta=delta, part=part, bound=bound):
            return adjusted(stack, path, delta, part, bound)
        case ChangeMember(ref=ref):
            return changed(stack, ref)


def _sized(request: GenerateRequest) -> GenerateRequest:
    """With a size, which may be left to a model that is still being loaded."""
    return replace(request, width=request.width or 1024, height=request.height or 1024)
