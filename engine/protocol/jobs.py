"""A job of the queue: pictures to draw, with the stack and the model they are to be drawn with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest

JobState = Literal["waiting", "running", "set aside"]

MOST_ATTEMPTS = 2
"""A job during which the engine died this often is set aside."""


@dataclass(frozen=True)
class Job:
    """Pictures that were asked for and are not all drawn yet."""

    id: str
    """That of the command which asked for it."""
    request: GenerateRequest
    """With the seed resolved, so that a job that is started again draws the same pictures."""
    stack: tuple[LoraRef, ...] = ()
    model: Path | None = None
    """The model's file or folder; None: the embedded demo."""
    forever: bool = False
    drawn: int = 0
    """Pictures of the batch that are saved already."""
    attempts: int = 0
    """How often it was started and neither ended nor was stopped."""
    state: JobState = "waiting"
    reason: str = ""
    """Why it was set aside."""
