"""What a host keeps for the next one: a plain JSON file, written whole or not at all."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from engine.protocol.codec import whole_characters
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
        with path.open("rb") as file:
            data = file.read(LARGEST)
    except OSError:
        return Saved()
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        path.replace(path.with_suffix(".unreadable.json"))
        return Saved()


def encode_saved(saved: Saved) -> bytes:
    """As JSON; paths as `file:` addresses, so that every name of a file can be written."""
    try:
        data = _ENCODER.encode(saved)
    except UnicodeEncodeError:
        data = _ENCODER.encode(whole_characters(msgspec.to_builtins(saved, enc_hook=_to_json)))
    return msgspec.json.format(data, indent=1)


def _after_death(job: Job) -> Job:
    """A job as the next engine finds it."""
    if job.state != "running":
        return job
    if job.attempts >= MOST_ATTEMPTS:
        return replace(job, state="set aside", reason="the engine died twice while drawing it")
    return replace(job, state="waiting")


def _to_json(value: Any) -> str:
    if isinstance(value, Path):
        return value.as_uri()
    raise TypeError(f"{type(value).__name__} cannot be kept")


def _from_json(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str) and value.startswith("file:///"):
        return Path(os.fsdecode(unquote_to_bytes(value.removeprefix("file://"))))
    raise ValueError(f"{kind.__name__} cannot be made of {value!r}")


_ENCODER = msgspec.json.Encoder(enc_hook=_to_json)
_DECODER = msgspec.json.Decoder(Saved, dec_hook=_from_json)
