"""All that a screen needs to know of an engine, in one frozen value."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct, field

from engine.protocol.events import CommandName, LoadProgress, ModelInfo, PictureSaved, Preview
from engine.protocol.jobs import Job
from engine.protocol.log import LogLine
from engine.protocol.refs import LoraRef
from engine.protocol.reports import MemoryReport, StateName
from engine.protocol.request import GenerateRequest

MOST_LOG_LINES = 200
MOST_PICTURES = 100


class Drawing(Struct, frozen=True):
    """How far the running generation is."""

    step: int
    total_steps: int
    seconds: float = 0.0
    preview: Preview | None = None
    """The newest one."""
    stacks: tuple[tuple[LoraRef, ...], ...] = ()
    """The stack of each region at this step; empty where one stack is for all of the picture."""
    number: int = 1
    """Of the pass over the picture."""
    passes: int = 1


class Refusal(Struct, frozen=True):
    """A LoRA that the loaded model did not take, and why."""

    path: Path
    message: str
    modified: int | None = None
    """When the file was written, in nanoseconds since 1970; None: that is not known."""

    def is_of(self, modified: int) -> bool:
        """Whether the file that was written then is the one that was refused, as far as known."""
        return self.modified in (None, modified)


class EngineView(Struct, frozen=True):
    """The engine as it is after the event number `seq`; made by `advance` alone."""

    seq: int = 0
    device: str = ""
    model: ModelInfo | None = None
    working: CommandName | None = None
    """What the engine's thread is at; None: nothing."""
    loading: LoadProgress | None = None
    load_failure: str = ""
    """Why the last load ended without a model."""
    state: StateName = "empty"
    live: tuple[LoraRef, ...] = ()
    """The stack that is in the weights; while a job runs, the job's."""
    wanted: tuple[LoraRef, ...] = ()
    """The stack that the users want."""
    refused: tuple[Refusal, ...] = ()
    """LoRAs that the loaded model did not take."""
    memory: MemoryReport = field(default_factory=MemoryReport)
    jobs: tuple[Job, ...] = ()
    """In the order in which they will be drawn; the running one first."""
    paused: bool = False
    drawing: Drawing | None = None
    stopping: bool = False
    """What runs was asked to stop, and will at its next step."""
    draft: GenerateRequest | None = None
    """The prompt and settings that the users are working on."""
    log: tuple[LogLine, ...] = ()
    """The last lines, newest last."""
    lines_written: int = 0
    """How many lines the log has had, those that are no longer in it too."""
    pictures: tuple[PictureSaved, ...] = ()
    """The last ones, newest last."""
    clients: int = 0

    @property
    def running(self) -> Job | None:
        """The job that is being drawn."""
        return next((job for job in self.jobs if job.state == "running"), None)

    @property
    def waiting(self) -> tuple[Job, ...]:
        """The jobs that wait for their turn."""
        return tuple(job for job in self.jobs if job.state == "waiting")

    @property
    def is_loading(self) -> bool:
        """Whether a model is being opened, because somebody asked or for a job."""
        return self.working == "load" or self.loading is not None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being done and nothing waits that could be."""
        return self.working is None and (self.paused or not (self.running or self.waiting))
