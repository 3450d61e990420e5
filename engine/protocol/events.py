"""What the engine says: frozen, plain data, which a socket carries as it is.

Structs of msgspec: the app starts sooner than with as many dataclasses, each of which is compiled
at every start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from engine.protocol.jobs import Job
from engine.protocol.modes import Mode
from engine.protocol.refs import LoraRef
from engine.protocol.reports import (
    LoraReport,
    MemoryReport,
    StateName,
    SwitchReport,
    Tier,
    VerifyReport,
)
from engine.protocol.request import GenerateRequest
from engine.sdxl.prediction import Prediction

CommandName = Literal[
    "load",
    "unload",
    "switch",
    "draw",
    "queue",
    "draft",
    "set_backup",
    "verify",
    "prefetch",
    "audition",
    "keep",
]
"""What a failure speaks of: `switch` are all changes of the stack, `queue` all of the jobs."""


class EventMessage(Struct, frozen=True):
    """An event with what stands on its envelope."""

    seq: int
    """Counts the events of one engine from 1, without a gap."""
    device: str
    """The engine's, such as `cuda:0`; empty until a model was loaded."""
    answers: str | None
    """The id of the command it belongs to; None for what nobody asked for."""
    time: float
    """Seconds since 1970."""
    event: Event


class Done(msgspec.Struct, frozen=True):
    """A command is carried out; what it changed was told by the events before."""


class WorkStarted(msgspec.Struct, frozen=True):
    """The engine's thread begins with something; `WorkEnded` follows."""

    command: CommandName


class WorkEnded(msgspec.Struct, frozen=True):
    """The engine's thread is free again."""


class StopRequested(msgspec.Struct, frozen=True):
    """What the engine's thread is at will stop at its next step."""


class LoadProgress(msgspec.Struct, frozen=True):
    """A step of loading: `stage` in words, `done` of `total` bytes (0 of 0: not measurable)."""

    stage: str
    done: int = 0
    total: int = 0


class ModelInfo(Struct, frozen=True):
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
    fingerprint: str = ""
    """Of all its weights as they were loaded, and of how they are used."""
    vae_dtype: str = "float32"


class ModelLoaded(msgspec.Struct, frozen=True):
    """The model is ready; `notes` are sentences on what is unusual about it."""

    model: ModelInfo
    seconds: float
    notes: tuple[str, ...] = ()


class ModelUnloaded(msgspec.Struct, frozen=True):
    """The model's memory is given back, as was asked."""


class StackWanted(msgspec.Struct, frozen=True):
    """Another stack is wanted; it is live when `Switched` says so."""

    stack: tuple[LoraRef, ...]


class StateChanged(msgspec.Struct, frozen=True):
    """What the live weights are: `base`, `stack` (with its members) or `recovering`."""

    state: StateName
    stack: tuple[LoraRef, ...] = ()


class Switched(msgspec.Struct, frozen=True):
    """A switch (or a return to the base, with an empty stack) is complete."""

    report: SwitchReport
    warnings: tuple[str, ...] = ()


class Superseded(msgspec.Struct, frozen=True):
    """The wished switch was not made, since a newer one was wished before its turn came."""


class JobQueued(msgspec.Struct, frozen=True):
    """A job waits at the end of the queue."""

    job: Job


class JobChanged(msgspec.Struct, frozen=True):
    """A job goes on in another state, or with more pictures drawn; `job` is what it is now."""

    job: Job


class JobsReordered(msgspec.Struct, frozen=True):
    """The jobs wait in this order now; all ids."""

    order: tuple[str, ...]


class QueuePaused(msgspec.Struct, frozen=True):
    """No job is started after the running one, or again they are."""

    paused: bool


class DraftChanged(msgspec.Struct, frozen=True):
    """The prompt and settings that the user is working on are these now."""

    draft: GenerateRequest


class ClientsChanged(msgspec.Struct, frozen=True):
    """So many screens and scripts are attached to the host."""

    count: int


class GenerationStarted(msgspec.Struct, frozen=True):
    """A generation begins, with its seed resolved."""

    request: GenerateRequest
    seed: int
    total_steps: int


class Preview(msgspec.Struct, frozen=True):
    """A small RGB picture, 3 bytes a pixel, rows from the top."""

    width: int
    height: int
    rgb: bytes

    def __repr__(self) -> str:
        """Without the pixels."""
        return f"Preview(width={self.width}, height={self.height})"


class GenerationStep(msgspec.Struct, frozen=True):
    """One denoising step is done; `preview` shows the picture as the model expects it to be."""

    step: int
    total_steps: int
    seconds: float
    """Since the generation began."""
    preview: Preview | None = None
    stacks: tuple[tuple[LoraRef, ...], ...] = ()
    """The stack of each region at this step; empty where one stack is for all of the picture."""
    number: int = 1
    """Of the pass over the picture."""
    passes: int = 1


class HashAwaited(msgspec.Struct, frozen=True):
    """A finished picture waits for the hash of a file behind it, which is computed once.

    `cancel` has it saved without.
    """

    name: str
    """Of the file."""


class PictureSaved(msgspec.Struct, frozen=True):
    """A finished picture lies on disk, with its infotext inside."""

    path: Path
    seed: int
    width: int
    height: int
    steps: int
    infotext: str
    seconds: float = 0.0
    """From the beginning of the generation."""
    trouble: str = ""
    """Why it lies where temporary files go, and not in its folder; empty where it does."""


class PictureMoved(msgspec.Struct, frozen=True):
    """A picture lies in another place than where it was saved first."""

    path: Path
    to: Path


class Auditioned(msgspec.Struct, frozen=True):
    """A picture that was asked for to look at; its file is one of a cache, which may drop it."""

    path: Path
    seconds: float
    """From the beginning of the work on it."""
    is_new: bool
    """Whether it was drawn, and not found in the cache."""


class GenerationFinished(msgspec.Struct, frozen=True):
    """All pictures of a generation are done."""

    pictures: tuple[PictureSaved, ...]
    seconds: float
    warnings: tuple[str, ...] = ()
    stack: tuple[LoraRef, ...] = ()
    """What they were drawn with."""
    loras: tuple[LoraReport, ...] = ()
    """How each LoRA of the stack fits the model."""


class GenerationCancelled(msgspec.Struct, frozen=True):
    """The generation stopped as asked; pictures saved before stay.

    0 of 0 steps: it was dropped while it waited, or before its first step was known.
    """

    step: int
    total_steps: int


class Verified(msgspec.Struct, frozen=True):
    """The base was compared with its fingerprints (live merged weights against their backups)."""

    report: VerifyReport
    seconds: float


class BackupMoved(msgspec.Struct, frozen=True):
    """The backups live in another tier now."""

    tier: Tier
    bytes: int
    seconds: float
    beside: int = 0
    """Of them in main memory, where the tier is a device that has no room for all."""


class MemoryChanged(msgspec.Struct, frozen=True):
    """The engine holds other amounts of memory than before."""

    memory: MemoryReport


class CommandFailed(msgspec.Struct, frozen=True):
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
    modified: int | None = None
    """When that file was written, in nanoseconds since 1970, as far as that is known."""


Event = (
    Done
    | WorkStarted
    | WorkEnded
    | StopRequested
    | LoadProgress
    | ModelLoaded
    | ModelUnloaded
    | StackWanted
    | StateChanged
    | Switched
    | Superseded
    | JobQueued
    | JobChanged
    | JobsReordered
    | QueuePaused
    | DraftChanged
    | ClientsChanged
    | GenerationStarted
    | GenerationStep
    | HashAwaited
    | PictureSaved
    | PictureMoved
    | Auditioned
    | GenerationFinished
    | GenerationCancelled
    | Verified
    | BackupMoved
    | MemoryChanged
    | CommandFailed
)

FINAL = (
    Done,
    ModelLoaded,
    ModelUnloaded,
    Switched,
    Superseded,
    GenerationFinished,
    GenerationCancelled,
    Auditioned,
    Verified,
    BackupMoved,
    CommandFailed,
)
"""Events that end the command they answer. A job drawn for ever ends when it is cancelled."""
