"""What a host keeps for the next one: a plain JSON file, written whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import structs

from engine.errors import FileFormatError
from engine.files.regular_file import read_regular
from engine.files.unreadable import set_aside
from engine.protocol.commands import Load
from engine.protocol.events import (
    FINAL,
    DraftChanged,
    Event,
    JobChanged,
    JobQueued,
    JobsReordered,
    QueuePaused,
    StackWanted,
)
from engine.protocol.jobs import MOST_ATTEMPTS, Job
from engine.protocol.plain_json import JsonDecoder, encode_json
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.protocol.view import EngineView

LARGEST = 256 << 20
"""Bytes of such a file that are read: far more than a full queue takes."""

_CHANGES = (StackWanted, DraftChanged, QueuePaused, JobQueued, JobChanged, JobsReordered, *FINAL)


@dataclass(frozen=True)
class Saved:
    """Model, stack, queue and draft."""

    load: Load | None = None
    """How the model was opened last, also when it was unloaded since; None: none was."""
    wanted: tuple[LoraRef, ...] = ()
    jobs: tuple[Job, ...] = ()
    paused: bool = False
    draft: GenerateRequest | None = None

    def view(self) -> EngineView:
        """What a new engine begins with; a job that has cost too many engines is set aside."""
        jobs = tuple(map(_after_death, self.jobs))
        return EngineView(wanted=self.wanted, jobs=jobs, paused=self.paused, draft=self.draft)


def saved_of(view: EngineView, load: Load | None) -> Saved:
    """What of a view is kept."""
    return Saved(load, view.wanted, view.jobs, view.paused, view.draft)


def changes_saved(event: Event) -> bool:
    """Whether what is kept may be another after this event."""
    return isinstance(event, _CHANGES)


def read_saved(path: Path) -> Saved:
    """What the last host kept; nothing where there is no file, or none that can be read.

    A file that cannot be read is set aside under another name, so that nothing is lost for good.
    """
    try:
        return _DECODER.decode(read_regular(path, LARGEST))
    except (FileFormatError, ValueError) as error:
        set_aside(path, error)
        return Saved()


def encode_saved(saved: Saved) -> bytes:
    """As JSON that people can read."""
    return msgspec.json.format(encode_json(saved), indent=1)


def _after_death(job: Job) -> Job:
    """A job as the next engine finds it."""
    if job.state != "running":
        return job
    if job.attempts >= MOST_ATTEMPTS:
        return structs.replace(
            job, state="set aside", reason="the engine died twice while drawing it"
        )
    return structs.replace(job, state="waiting")


_DECODER = JsonDecoder(Saved)
