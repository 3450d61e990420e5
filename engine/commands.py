"""What the engine thread can be told: frozen, plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.events import CommandName
from engine.generate.request import GenerateRequest
from engine.modes.names import ModeChoice
from engine.prediction import Prediction
from engine.refs import LoraRef
from engine.reports import BackupChoice, Tier


@dataclass(frozen=True)
class Load:
    """Open a model (None: the demo) in place of the loaded one."""

    model: Path | None
    device: str | None
    dtype: str | None
    backup: BackupChoice
    vae: Path | None = None
    """Takes the place of the model's own."""
    mode: ModeChoice = "auto"
    compiled: bool = False
    """Whether the UNet is compiled."""
    parts_from: Path | None = None
    """A model whose text encoders and VAE are used where this one has none."""
    prediction: Prediction | None = None
    """What the model predicts; None: what its files say."""
    name: CommandName = "load"


@dataclass(frozen=True)
class Switch:
    """Make a stack live; an empty one is the base."""

    stack: tuple[LoraRef, ...]
    name: CommandName = "switch"


@dataclass(frozen=True)
class Generate:
    """Draw pictures with the live stack, or refuse to when that is not the one expected."""

    request: GenerateRequest
    stack: tuple[LoraRef, ...] | None = None
    """The members, in any order; None: whatever is live."""
    name: CommandName = "generate"


@dataclass(frozen=True)
class SetBackup:
    """Move the backups to another memory."""

    tier: Tier
    name: CommandName = "set_backup"


@dataclass(frozen=True)
class Verify:
    """Compare the base with its fingerprints."""

    name: CommandName = "verify"


@dataclass(frozen=True)
class Prefetch:
    """Read a LoRA ahead of a likely switch; skipped when anything else waits."""

    ref: LoraRef
    name: CommandName = "prefetch"


Command = Load | Switch | Generate | SetBackup | Verify | Prefetch
CANCELLABLE = (Load, Generate)
"""Commands that `cancel` stops, running or waiting; a switch is over too soon to be worth it."""
