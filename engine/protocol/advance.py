"""The one way in which an engine's view changes: event by event, the same in host and clients."""

from __future__ import annotations

from msgspec import structs

from engine.protocol.events import (
    FINAL,
    ClientsChanged,
    CommandFailed,
    DraftChanged,
    Event,
    EventMessage,
    GenerationFinished,
    GenerationStarted,
    GenerationStep,
    JobChanged,
    JobQueued,
    JobsReordered,
    LoadProgress,
    MemoryChanged,
    ModelLoaded,
    PictureMoved,
    PictureSaved,
    QueuePaused,
    StackWanted,
    StateChanged,
    StopRequested,
    Switched,
    WorkEnded,
    WorkStarted,
)
from engine.protocol.jobs import Job
from engine.protocol.log_words import log_lines
from engine.protocol.view import MOST_LOG_LINES, MOST_PICTURES, Drawing, EngineView, Refusal


def advance(view: EngineView, message: EventMessage) -> EngineView:
    """The view after one more event; those that `view` knows already change nothing.

    Raises ValueError where an event is missing between them.
    """
    if message.seq <= view.seq:
        return view
    if message.seq != view.seq + 1:
        raise ValueError(f"event {message.seq} came after {view.seq}")
    view = structs.replace(view, seq=message.seq, device=message.device)
    lines = log_lines(message)
    if lines:
        log = (*view.log, *lines)[-MOST_LOG_LINES:]
        view = structs.replace(view, log=log, lines_written=view.lines_written + len(lines))
    view = _changed(view, message.event)
    if isinstance(message.event, FINAL):
        goes_on = isinstance(message.event, GenerationFinished)
        left = (j for j in view.jobs if j.id != message.answers or (j.forever and goes_on))
        view = structs.replace(view, jobs=tuple(left))
    return view


def _changed(view: EngineView, event: Event) -> EngineView:
    match event:
        case WorkStarted(command=command):
            failure = "" if command == "load" else view.load_failure
            return structs.replace(view, working=command, load_failure=failure)
        case WorkEnded():
            return structs.replace(view, working=None, loading=None, drawing=None, stopping=False)
        case StopRequested():
            return structs.replace(view, stopping=True)
        case LoadProgress():
            return structs.replace(view, loading=event)
        case ModelLoaded(model=model):
            return structs.replace(view, model=model, refused=(), loading=None)
        case StackWanted(stack=stack):
            return structs.replace(view, wanted=stack)
        case StateChanged(state="empty"):
            return structs.replace(view, state="empty", live=(), model=None)
        case StateChanged(state=state, stack=stack):
            return structs.replace(view, state=state, live=stack)
        case Switched(report=report):
            taken = {str(ref.path) for ref in report.stack}
            refused = tuple(one for one in view.refused if str(one.path) not in taken)
            return structs.replace(view, live=report.stack, refused=refused)
        case JobQueued(job=job):
            return structs.replace(view, jobs=(*view.jobs, job))
        case JobChanged(job=job):
            return structs.replace(view, jobs=_placed(view.jobs, job))
        case JobsReordered(order=order):
            place = {name: number for number, name in enumerate(order)}
            jobs = sorted(view.jobs, key=lambda job: place.get(job.id, len(place)))
            return structs.replace(view, jobs=tuple(jobs))
        case QueuePaused(paused=paused):
            return structs.replace(view, paused=paused)
        case DraftChanged(draft=draft):
            return structs.replace(view, draft=draft)
        case ClientsChanged(count=count):
            return structs.replace(view, clients=count)
        case GenerationStarted(total_steps=total):
            return structs.replace(view, drawing=Drawing(0, total))
        case GenerationStep(step=step, total_steps=total, seconds=seconds, preview=preview):
            newest = preview or (view.drawing.preview if view.drawing else None)
            passes = event.stacks, event.number, event.passes
            return structs.replace(view, drawing=Drawing(step, total, seconds, newest, *passes))
        case PictureSaved():
            return structs.replace(view, pictures=(*view.pictures, event)[-MOST_PICTURES:])
        case PictureMoved(path=path, to=to):
            pictures = tuple(
                structs.replace(one, path=to, trouble="") if one.path == path else one
                for one in view.pictures
            )
            return structs.replace(view, pictures=pictures)
        case MemoryChanged(memory=memory):
            return structs.replace(view, memory=memory)
        case CommandFailed(refused=True, path=path, message=message, modified=modified) if path:
            others = tuple(one for one in view.refused if one.path != path)
            return structs.replace(view, refused=(*others, Refusal(path, message, modified)))
        case CommandFailed(command="load", message=message):
            return structs.replace(view, load_failure=message)
    return view


def _placed(jobs: tuple[Job, ...], job: Job) -> tuple[Job, ...]:
    """With what a job is now in place of what it was; a running one goes first."""
    if job.state == "running":
        return (job, *(other for other in jobs if other.id != job.id))
    return tuple(job if other.id == job.id else other for other in jobs)
