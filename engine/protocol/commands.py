"""What the engine can be told: frozen, plain data. Each command is ended by exactly one event."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.protocol.modes import ModeChoice
from engine.protocol.refs import LoraRef
from engine.protocol.reports import BackupChoice, Tier
from engine.protocol.request import GenerateRequest
from engine.protocol.stack_edits import USUAL_BOUND, Part
from engine.sdxl.prediction import Prediction


@dataclass(frozen=True)
class Load:
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
    parts_from: Path | None = None
    """A model whose text encoders and VAE are used where this one has none."""
    prediction: Prediction | None = None
    """What the model predicts; None: what its files say."""


@dataclass(frozen=True)
class Unload:
    """Give the model's memory back; stack and queue stay for when it is loaded again."""


@dataclass(frozen=True)
class SetStack:
    """Want exactly this stack; an empty one is the base."""

    stack: tuple[LoraRef, ...] = ()


@dataclass(frozen=True)
class ToggleLora:
    """Take a file out of the wanted stack, or add it at the end."""

    ref: LoraRef


@dataclass(frozen=True)
class AdjustStrength:
    """Change the strength of one member of the wanted stack by `delta`."""

    path: Path
    delta: float
    part: Part = "both"
    bound: float = USUAL_BOUND
    """How far steps go."""


@dataclass(frozen=True)
class ChangeMember:
    """Give the member of the same file other strengths or block weights."""

    ref: LoraRef


@dataclass(frozen=True)
class Draw:
    """Put pictures at the end of the queue; the command's id is the job's."""

    request: GenerateRequest
    stack: tuple[LoraRef, ...] | None = None
    """The stack to draw with; None: the one that is wanted now."""
    forever: bool = False
    """Draw again with new seeds until the job is cancelled."""


@dataclass(frozen=True)
class CancelJob:
    """Stop one job, running or waiting."""

    job: str


@dataclass(frozen=True)
class CancelAll:
    """Stop the running job or load within one step, and drop every job that waits."""


@dataclass(frozen=True)
class MoveJob:
    """Put a waiting job before another one; None: at the end."""

    job: str
    before: str | None = None


@dataclass(frozen=True)
class RetryJob:
    """Put a job that was set aside back into the queue."""

    job: str


@dataclass(frozen=True)
class PauseQueue:
    """Let the running job end and start no other, or go on."""

    paused: bool = True


@dataclass(frozen=True)
class SetDraft:
    """Keep the prompt and settings that the user is working on, for every screen."""

    draft: GenerateRequest


@dataclass(frozen=True)
class SetBackup:
    """Move the backups to another memory."""

    tier: Tier


@dataclass(frozen=True)
class Verify:
    """Compare the base with its fingerprints."""


@dataclass(frozen=True)
class Prefetch:
    """Read a LoRA ahead of a likely switch; skipped when anything else waits."""

    ref: LoraRef


StackEdit = SetStack | ToggleLora | AdjustStrength | ChangeMember
JobCommand = CancelJob | CancelAll | MoveJob | RetryJob | PauseQueue
Command = Load | Unload | StackEdit | Draw | JobCommand | SetDraft | SetBackup | Verify | Prefetch
