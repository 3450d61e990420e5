"""What the engine thread says: frozen, plain data, so that a socket could carry it too."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.generate.request import GenerateRequest
from engine.modes.names import Mode
from engine.prediction import Prediction
from engine.refs import LoraRef
from engine.reports import MemoryReport, StateName, SwitchReport, Tier, VerifyReport

CommandName = Literal["load", "switch", "generate", "set_backup", "verify", "prefetch"]


@dataclass(frozen=True)
class LoadProgress:
    """A step of loading: `stage` in words, `done` of `total` bytes (0 of 0: not measurable)."""

    stage: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class ModelInfo:
    """A loaded model: what it is called, where it lives, how large it is, what it prefers."""

    name: str
    path: Path
    device: str
    """Such as `cuda:0` or `cpu`."""
    device_name: str
    dtype: str
    """Such as `float16`."""
    parameters: int
    bytes: int
    default_size: int
    """Side in pixels of the pictures it was trained on: 1024 for SDXL itself, less for the demo."""
    is_demo: bool
    gpu_uuid: str | None = None
    """For finding the same device in NVML."""
    mode: Mode = "resident"
    """How it shares the device's memory."""
    prediction: Prediction = "epsilon"
    """What it predicts in each step."""


@dataclass(frozen=True)
class ModelLoaded:
    """The model is ready; `notes` are sentences on what is unusual about it."""

    model: ModelInfo
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StateChanged:
    """What the live weights are: `base`, `stack` (with its members) or `recovering`."""

    state: StateName
    stack: tuple[LoraRef, ...] = ()


@dataclass(frozen=True)
class Switched:
    """A switch (or a return to the base, with an empty stack) is complete."""

    report: SwitchReport
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class GenerationStarted:
    """A generation begins, with its seed resolved."""

    request: GenerateRequest
    seed: int
    total_steps: int


@dataclass(frozen=True)
class Preview:
    """A small RGB picture, 3 bytes a pixel, rows from the top."""

    width: int
    height: int
    rgb: bytes = field(repr=False)


@dataclass(frozen=True)
class GenerationStep:
    """One denoising step is done; `preview` shows the picture as the model expects it to be."""

    step: int
    total_steps: int
    seconds: float
    """Since the generation began."""
    preview: Preview | None = None


@dataclass(frozen=True)
class HashAwaited:
    """A finished picture waits for the hash of a file behind it, which is computed once.

    `cancel` has it saved without.
    """

    name: str
    """Of the file."""


@dataclass(frozen=True)
class PictureSaved:
    """A finished picture lies on disk, with its infotext inside."""

    path: Path
    seed: int
    width: int
    height: int
    steps: int
    infotext: str


@dataclass(frozen=True)
class GenerationFinished:
    """All pictures of a generation are done."""

    pictures: tuple[PictureSaved, ...]
    seconds: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class GenerationCancelled:
    """The generation stopped as asked; pictures saved before stay.

    0 of 0 steps: it was dropped while it waited, or before its first step was known.
    """

    step: int
    total_steps: int


@dataclass(frozen=True)
class Verified:
    """The base was compared with its fingerprints (live merged weights against their backups)."""

    report: VerifyReport
    seconds: float


@dataclass(frozen=True)
class BackupMoved:
    """The backups live in another tier now."""

    tier: Tier
    bytes: int
    seconds: float


@dataclass(frozen=True)
class MemoryChanged:
    """The engine holds other amounts of memory than before."""

    memory: MemoryReport


@dataclass(frozen=True)
class CommandFailed:
    """A command could not be done; `message` is a sentence for the user.

    What else changed is told by events before it: a load that fails late has unloaded the model
    that was there. `unexpected` marks a fault of the program (its traceback is in the log file).
    """

    command: CommandName
    message: str
    unexpected: bool = False
    refused: bool = False
    """A LoRA's file is to blame: it is broken or does not fit, and nothing was touched."""
    cancelled: bool = False
    """The user stopped it, running or waiting; this is no fault."""
    path: Path | None = None
    """The LoRA's file that is to blame, where it is known."""


Event = (
    LoadProgress
    | ModelLoaded
    | StateChanged
    | Switched
    | GenerationStarted
    | GenerationStep
    | HashAwaited
    | PictureSaved
    | GenerationFinished
    | GenerationCancelled
    | Verified
    | BackupMoved
    | MemoryChanged
    | CommandFailed
)
