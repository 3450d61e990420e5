"""The engine thread: commands go in on any thread, events come out in one order."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from engine.errors import CancelledError, EngineError, FileFormatError, LoraRefusedError
from engine.protocol.advance import advance
from engine.protocol.commands import (
    Command,
    KeepAudition,
    Load,
    SetBackup,
    Unload,
    Verify,
)
from engine.protocol.events import (
    CommandFailed,
    CommandName,
    Done,
    Event,
    EventMessage,
    GenerationCancelled,
    JobChanged,
    JobsReordered,
    LoadProgress,
    PictureSaved,
    StackWanted,
    Superseded,
    WorkEnded,
    WorkStarted,
)
from engine.protocol.jobs import Job
from engine.protocol.refs import LoraRef
from engine.protocol.request import draw_seed
from engine.protocol.stack_edits import Stack
from engine.protocol.view import EngineView
from engine.session.orders import Orders
from engine.session.read_ahead import ReadAhead, next_loras
from engine.session.work import (
    AheadWork,
    AuditionWork,
    DrawWork,
    PrefetchWork,
    SwitchWork,
    UpkeepWork,
    Work,
)

if TYPE_CHECKING:
    from engine.session.worker import Worker

log = logging.getLogger(__name__)


class Session:
    """Owns the one thread that touches tensors, the queue and the truth about both.

    `send` returns at once, and may be called on any thread. Each command is ended by one of the
    `FINAL` events with its id, also when it was cancelled; only what `close` leaves undone ends
    without one. `on_event` gets every event in order, on whichever thread it happens, and must not
    block. Torch is imported on the engine's thread, at the first work. `view` is what a former
    engine left behind: its stack, jobs and draft are kept. Hashes of models and LoRAs, for
    infotexts, are kept between runs in `index`, the library's index; `store` gets each picture
    before it is told of. `on_lost` is called, on the
    engine's thread and as its last act, when the GPU answers nothing any more until the process
    ends; what was being done is not ended then, so that a next engine can do it.
    """

    def __init__(
        self,
        on_event: Callable[[EventMessage], None] = lambda message: None,
        view: EngineView | None = None,
        index: Path | None = None,
        store: Path | None = None,
        on_lost: Callable[[str], None] | None = None,
    ) -> None:
        self._on_event = on_event
        self._on_lost = on_lost
        self._index = index
        self._store = store
        self._lock = threading.RLock()
        self._news = threading.Condition(self._lock)
        self._view = view or EngineView()
        self._orders = Orders(self.tell, lambda: self._view)
        self._fulfilled: Stack = ()
        self._ahead = ReadAhead()
        self._closing = threading.Event()
        # A daemon: an import of torch cannot be interrupted, and must not hold up quitting.
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def view(self) -> EngineView:
        """The engine as it is after the last event."""
        return self._view

    @property
    def last_load(self) -> Load | None:
        """How the loaded model, or the one that is being loaded, was asked for."""
        return self._orders.load

    def attach(self, on_event: Callable[[EventMessage], None]) -> EngineView:
        """Send the events after the returned view to `on_event`, in place of the former one."""
        with self._lock:
            self._on_event = on_event
            return self._view

    def send(self, command: Command, id: str | None = None) -> str:
        """Ask for something; returns the id that the event which ends it will name."""
        id = id or uuid.uuid4().hex
        with self._lock:
            self._orders.take(id, command)
            self._news.notify_all()
        return id

    def close(self, timeout: float) -> bool:
        """Cancel, end the thread and wait for it; True when it ended within `timeout` seconds."""
        self._closing.set()
        with self._lock:
            self._news.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # Events.

    def tell(self, event: Event, answers: str | None = None) -> None:
        """Put an event behind those before, and take it into the view."""
        with self._lock:
            model = self._view.model
            device = model.device if model else self._view.device
            message = EventMessage(self._view.seq + 1, device, answers, time.time(), event)
            self._view = advance(self._view, message)
            self._on_event(message)

    # The engine's thread.

    def _run(self) -> None:
        worker = None
        while (work := self._next()) is not None:
            try:
                if worker is None:
                    self.tell(LoadProgress("Starting PyTorch"))
                    worker = _import_worker()(self.tell, self._index, self._store)
                self._do(worker, work)
            except EngineError as error:
                self._fail(work, error)
            except Exception as error:
                if self._on_lost is not None and _is_lost_device(error):
                    log.critical("the GPU is lost", exc_info=True)
                    self._on_lost(str(error))
                    return
                # The thread must outlive any fault; the log file has the traceback.
                log.exception("%s failed", work.name)
                self._fail(work, error)
            finally:
                with self._lock:
                    self._orders.running = None
                    self._orders.stopped.discard(work.id or "")
                    self.tell(WorkEnded())

    def _next(self) -> Work | None:
        """Wait for work; None when the session is closed."""
        with self._lock:
            while not self._closing.is_set():
                if (work := self._orders.waiting.take(self._view)) is not None:
                    self._orders.running = work
                    self.tell(WorkStarted(work.name), work.id)
                    return work
                self._news.wait()
            return None

    def _do(self, worker: Worker, work: Work) -> None:
        def cancelled() -> bool:
            with self._lock:
                late = self._orders.waiting.delays(work, self._view)
            return late or work.id in self._orders.stopped or self._closing.is_set()

        if isinstance(work, UpkeepWork):
            self._ahead.stop()
        match work:
            case UpkeepWork(id=id, command=Load() as load):
                self._load_model(worker, load, cancelled, id)
            case UpkeepWork(id=id, command=Unload()):
                worker.unload(id)
            case UpkeepWork(id=id, command=SetBackup(tier=tier)):
                worker.set_backup(tier, id)
            case UpkeepWork(id=id, command=Verify()):
                worker.verify(id)
            case UpkeepWork(id=id, command=KeepAudition(request=request, stack=stack)):
                worker.keep_audition(request, stack, id)
            case SwitchWork(id=id, stack=stack):
                self._orders.waiting.tried = stack
                worker.switch(stack, cancelled, id)
                self._fulfilled = stack
            case DrawWork(job=job):
                self._draw(worker, job, cancelled)
            case AuditionWork():
                self._audition(worker, work, cancelled)
            case AheadWork():
                self._audition_ahead(worker, work, cancelled)
            case PrefetchWork(id=id, command=command):
                self._prefetch(worker, command.ref, cancelled)
                self.tell(Done(), id)

    def _load_model(
        self, worker: Worker, load: Load, cancelled: Callable[[], bool], id: str | None
    ) -> None:
        worker.load(load, cancelled, id)
        with self._lock:
            self._orders.opened = load
            # A new model is at its base.
            self._orders.waiting.tried = self._fulfilled = ()
            self._orders.waiting.home = None

    def _prefetch(self, worker: Worker, ref: LoraRef, cancelled: Callable[[], bool]) -> None:
        try:
            worker.prefetch(ref, cancelled)
        except EngineError as error:
            # Nobody asked for this LoRA yet; a switch to it will say what is wrong.
            log.info("not read ahead: %s", error)

    def _audition(self, worker: Worker, work: AuditionWork, cancelled: Callable[[], bool]) -> None:
        waiting, before = self._orders.waiting, worker.live
        try:
            worker.audition(
                work.request, work.stack, cancelled, work.id, lambda: waiting.audition is not None
            )
        except CancelledError:
            with self._lock:
                if work.id in self._orders.stopped or waiting.audition is not None:
                    self.tell(Superseded(), work.id)
                else:
                    # Something else goes first.
                    waiting.audition = work
        finally:
            if worker.live != before:
                # The wanted stack is to be live again, after the next picture to look at.
                waiting.tried = worker.live

    def _audition_ahead(
        self, worker: Worker, work: AheadWork, cancelled: Callable[[], bool]
    ) -> None:
        waiting, before = self._orders.waiting, worker.live
        try:
            worker.audition_ahead(
                work.request, work.stack, cancelled, lambda: waiting.audition is not None
            )
        except EngineError as error:
            # Nobody asked for this picture yet; whoever does will hear what is wrong.
            log.info("not drawn ahead: %s", error)
        finally:
            if worker.live != before:
                waiting.tried = worker.live
        self.tell(Done(), work.id)

    def _draw(self, worker: Worker, job: Job, cancelled: Callable[[], bool]) -> None:
        job = structs.replace(job, state="running", attempts=job.attempts + 1)
        self.tell(JobChanged(job))

        def on_saved(picture: PictureSaved) -> None:
            nonlocal job
            job = structs.replace(job, drawn=job.drawn + 1)
            with self._lock:
                self.tell(picture, job.id)
                self.tell(JobChanged(job))

        if not worker.has_open(job.model):
            self._ahead.stop()
            home = self._orders.load or Load()
            # What is predicted is a model's own.
            own = structs.replace(home, model=job.model, prediction=None)
            try:
                self._load_model(worker, own, cancelled, None)
            finally:
                self._orders.waiting.home = home
        try:
            if Counter(job.stack) != Counter(worker.live):
                worker.switch(job.stack, cancelled, None)
        finally:
            # Not always the job's: a refused stack leaves the one before, lost weights the base.
            self._orders.waiting.tried = worker.live
        self._ahead.begin(next_loras(self._view.waiting, job), worker.read_ahead)
        finished = worker.draw(job.request.without_first(job.drawn), cancelled, job.id, on_saved)
        if finished and job.forever:
            self._draw_again(job)

    def _draw_again(self, job: Job) -> None:
        """Put a job that goes on for ever at the end, unless it was stopped after its last step."""
        with self._lock:
            if job.id in self._orders.stopped:
                self.tell(GenerationCancelled(0, 0), job.id)
                return
            self.tell(JobChanged(job.again(draw_seed())))
            order = [other.id for other in self._view.jobs if other.id != job.id]
            self.tell(JobsReordered((*order, job.id)))

    def _fail(self, work: Work, error: Exception) -> None:
        refused = isinstance(error, LoraRefusedError | FileFormatError)
        stopped = isinstance(error, CancelledError)
        path: Path | None = error.path if isinstance(error, EngineError) else None
        expected = isinstance(error, EngineError)
        message = str(error) if expected else f"{type(error).__name__}: {error}"
        modified = _modified(path) if path is not None else None
        name: CommandName = work.name
        with self._lock:
            if isinstance(work, SwitchWork) and self._view.wanted == work.stack:
                # What was live before stays where nothing was touched; else it is the base.
                is_untouched = refused and work.id and self._fulfilled != work.stack
                before = self._fulfilled if is_untouched else self._view.live
                self.tell(StackWanted(before))
                if before == self._view.live:
                    self._orders.waiting.tried = before
            if isinstance(work, UpkeepWork) and isinstance(work.command, Load):
                self._orders.keep_open_model()
            if isinstance(work, DrawWork) and stopped:
                self.tell(GenerationCancelled(0, 0), work.id)
                return
            failed = CommandFailed(name, message, not expected, refused, stopped, path, modified)
            self.tell(failed, work.id)


def _is_lost_device(error: Exception) -> bool:
    # Torch is there: it was imported for the worker.
    from engine.device_fault import is_lost_device

    return is_lost_device(error)


def _modified(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return path.stat().st_mtime_ns
    return None


def _import_worker() -> type[Worker]:
    """Import what needs torch; raises `EngineError` where that is not installed, or broken."""
    try:
        from engine.session.worker import Worker
    except ImportError as error:
        raise EngineError(
            f"The engine cannot be started: {error}. Install loraswitch anew, with what it needs."
        ) from error
    return Worker
