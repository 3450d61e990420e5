"""What the engine can be told: frozen, plain data. Each command is ended by exactly one event."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.protocol.jobs import Turn
from engine.protocol.modes import ModeChoice
from engine.protocol.refs import LoraRef
from engine.protocol.reports import BackupChoice, Tier
from engine.protocol.request import GenerateRequest
from engine.protocol.stack_edits import USUAL_BOUND, Part
from engine.sdxl.prediction import Prediction


class Load(msgspec.Struct, frozen=True):
    """Open a model (None: the demo) in place of the loaded one."""

    model: Path | None = None
    device: str | None = None
    dtype: str | None = None
    backup: BackupChoice = "auto"
    vae: Path | None = None
    """Takes the place of the model's own."""
    mode: ModeChoice = "auto"
    compiled: bool = False
    """Whether the UNet is compiled."""
    graphs: bool = False
    """Whether the UNet's steps are CUDA graphs."""
    parts_from: Path | None = None
    """A model whose text encoders and VAE are used where this one has none."""
    prediction: Prediction | None = None
    """What the model predicts; None: what its files say."""
    vae_dtype: str | None = None
    """`float32` or `bfloat16`; None: what suits the device."""


class Unload(msgspec.Struct, frozen=True):
    """Give the model's memory back; stack and queue stay for when it is loaded again."""


class SetStack(msgspec.Struct, frozen=True):
    """Want exactly this stack; an empty one is the base."""

    stack: tuple[LoraRef, ...] = ()


class ToggleLora(msgspec.Struct, frozen=True):
    """Take a file out of the wanted stack, or add it at the end."""

    ref: LoraRef


class AdjustStrength(msgspec.Struct, frozen=True):
    """Change the strength of one member of the wanted stack by `delta`."""

    path: Path
    delta: float
    part: Part = "both"
    bound: float = USUAL_BOUND
    """How far steps go."""


class ChangeMember(msgspec.Struct, frozen=True):
    """Give the member of the same file other strengths or block weights."""

    ref: LoraRef


class Draw(msgspec.Struct, frozen=True):
    """Put pictures at the end of the queue; the command's id is the job's."""

    request: GenerateRequest
    stack: tuple[LoraRef, ...] | None = None
    """The stack to draw with; None: the one that is wanted now."""
    forever: bool = False
    """Draw again with new seeds until the job is cancelled."""
    turns: tuple[Turn, ...] = ()
    """Of a job drawn for ever: what the times after the first have of their own, in turn."""


class Audition(msgspec.Struct, frozen=True):
    """Draw one picture to look at, in place of the one that was asked for before.

    It is no job: it gives way to all jobs, is not written among the pictures, and does not outlive
    the engine. Afterwards the wanted stack is live again.
    """

    request: GenerateRequest | None
    """None: no picture any more."""
    stack: tuple[LoraRef, ...] = ()


class AuditionAhead(msgspec.Struct, frozen=True):
    """Draw what is likely to be looked at next, while nothing else is to be done.

    It is told to nobody: an audition of the same finds it. In place of the one asked for before.
    """

    request: GenerateRequest
    stack: tuple[LoraRef, ...] = ()


class KeepAudition(msgspec.Struct, frozen=True):
    """Save the picture of an audition that was drawn among the pictures, with what made it."""

    request: GenerateRequest
    stack: tuple[LoraRef, ...] = ()


class MovePicture(msgspec.Struct, frozen=True):
    """Take note that a picture was moved."""

    path: Path
    to: Path


class CancelJob(msgspec.Struct, frozen=True):
    """Stop one job, running or waiting."""

    job: str


class CancelAll(msgspec.Struct, frozen=True):
    """Stop the running job or load within one step, and drop every job that waits."""


class MoveJob(msgspec.Struct, frozen=True):
    """Put a waiting job before another one; None: at the end."""

    job: str
    before: str | None = None


class RetryJob(msgspec.Struct, frozen=True):
    """Put a job that was set aside back into the queue."""

    job: str


class PauseQueue(msgspec.Struct, frozen=True):
    """Let the running job end and start no other, or go on."""

    paused: bool = True


class SetDraft(msgspec.Struct, frozen=True):
    """Keep the prompt and settings that the user is working on, for every screen."""

    draft: GenerateRequest


class SetBackup(msgspec.Struct, frozen=True):
    """Move the backups to another memory."""

    tier: Tier


class Verify(msgspec.Struct, frozen=True):
    """Compare the base with its fingerprints."""


class Prefetch(msgspec.Struct, frozen=True):
    """Read a LoRA ahead of a likely switch; skipped when anything else waits."""

    ref: LoraRef


StackEdit = SetStack | ToggleLora | AdjustStrength | ChangeMember
JobCommand = CancelJob | CancelAll | MoveJob | RetryJob | PauseQueue
Command = (
    Load
    | Unload
    | StackEdit
    | Draw
    | Audition
    | AuditionAhead
    | KeepAudition
    | MovePicture
    | JobCommand
    | SetDraft
    | SetBackup
    | Verify
    | Prefetch
)
