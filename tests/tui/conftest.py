"""A library of small real files, a session that records commands, an app between the two."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs
from PIL import Image
from safetensors.numpy import save_file
from textual import _wait
from textual.pilot import Pilot

from engine.protocol.commands import Command, Load
from engine.protocol.events import (
    FINAL,
    CommandFailed,
    Event,
    GenerationStarted,
    GenerationStep,
    JobChanged,
    LoadProgress,
    ModelInfo,
    ModelLoaded,
    PictureSaved,
    StackWanted,
    StateChanged,
    Switched,
    WorkEnded,
    WorkStarted,
)
from engine.protocol.jobs import Job
from engine.protocol.refs import LoraRef
from engine.protocol.reports import SwitchReport
from engine.session.session import Session
from engine.session.work import DrawWork, SwitchWork, Work
from tui_loraswitch.app.app import LoraSwitchApp
from tui_loraswitch.app.services import Services
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.panes.lora_list import LoraList
from tui_loraswitch.panes.rows import LoraRow

# After each key Textual's pilot waits, twice, until the process has rested for 20 ms. 5 are enough:
# what takes longer is waited for by name.
_wait.SLEEP_GRANULARITY = 0.005
_wait.SLEEP_IDLE = 0.001

PATIENCE = 3000
"""Turns of the event loop, ten milliseconds each, before a condition counts as never met."""

SDXL_KEY = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
SD15_KEY = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"

MODEL = ModelInfo(
    name="sd_xl_base_1.0",
    path=Path("/models/sd_xl_base_1.0.safetensors"),
    device="cuda:0",
    device_name="RTX 4090",
    dtype="float16",
    parameters=3_384_000_000,
    bytes=6_900_000_000,
    default_size=1024,
    is_demo=False,
)


def write_lora(path: Path, *, trigger: str = "", sdxl: bool = True, **metadata: str) -> Path:
    """A LoRA of rank 4 for one layer of SDXL's or SD 1.5's UNet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    key, width = (SDXL_KEY, 2048) if sdxl else (SD15_KEY, 768)
    tensors = {
        f"{key}.lora_down.weight": np.zeros((4, width), np.float16),
        f"{key}.lora_up.weight": np.zeros((640, 4), np.float16),
        f"{key}.alpha": np.array(2, np.float16),
    }
    if trigger:
        metadata["modelspec.trigger_phrase"] = trigger
    save_file(tensors, path, metadata=metadata or None)
    return path


class FakeEngine(Session):
    """A session without its thread: queue and wishes are real; the test says what is done."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.closes_in_time = True
        self.is_closed = False
        super().__init__()

    def _run(self) -> None:
        """Leave the work to the test."""

    def send(self, command: Command, id: str | None = None) -> str:
        self.commands.append(command)
        return super().send(command, id)

    def close(self, timeout: float) -> bool:
        self.is_closed = True
        return self.closes_in_time

    def sent(self, *kinds: type[Command]) -> list[Any]:
        """The commands of these kinds."""
        return [command for command in self.commands if isinstance(command, kinds)]

    def do(self, *events: Event) -> None:
        """Report events as the engine's thread would, each with the id of what it ends."""
        for event in events:
            with self._lock:
                self._begin(event)
                if isinstance(event, Switched):
                    self._fulfilled = event.report.stack
                if isinstance(event, ModelLoaded):
                    self._orders.waiting.tried = self._fulfilled = ()
                if isinstance(event, CommandFailed) and isinstance(
                    self._orders.running, SwitchWork
                ):
                    self.tell(StackWanted(self._fulfilled))
                self.tell(event, self._answered(event))
                if isinstance(event, FINAL):
                    self._orders.running = None
                    self.tell(WorkEnded())

    def take(self) -> Work | None:
        """Begin with what is next, as the engine's thread would."""
        with self._lock:
            work = self._orders.waiting.take(self._view)
            self._orders.running = work
            if work is not None:
                self.tell(WorkStarted(work.name), work.id)
            if isinstance(work, SwitchWork):
                self._orders.waiting.tried = work.stack
            if isinstance(work, DrawWork):
                self.tell(JobChanged(structs.replace(work.job, state="running")))
                if Counter(work.job.stack) != Counter(self._view.live):
                    self._orders.waiting.tried = work.job.stack
            return work

    def _begin(self, event: Event) -> None:
        """Let the work begin that an event speaks of, where the test has not."""
        if self._orders.running is None and isinstance(
            event, (LoadProgress, GenerationStarted, *FINAL)
        ):
            self.take()

    def _answered(self, event: Event) -> str | None:
        is_end = isinstance(event, (*FINAL, GenerationStarted, GenerationStep, PictureSaved))
        return self._orders.running.id if self._orders.running is not None and is_end else None


class Driver:
    """The app under test with its pilot, session and shortcuts."""

    def __init__(self, app: LoraSwitchApp, pilot: Pilot[None], session: FakeEngine) -> None:
        self.app, self.pilot, self.session = app, pilot, session

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def emit(self, *events: Event) -> None:
        """Let the engine report, as its thread would."""
        self.session.do(*events)
        await self.pilot.pause()
        await self.pilot.pause()

    async def until(self, condition: Callable[[], object]) -> None:
        for _ in range(PATIENCE):
            if condition():
                return
            await self.pilot.pause(0.01)
        raise AssertionError("the condition was never met")

    async def sees(self, *texts: str) -> None:
        """Wait until the screen shows all of these."""
        for text in texts:
            for _ in range(PATIENCE):
                if text in self.text:
                    break
                await self.pilot.pause(0.01)
            else:
                raise AssertionError(f"{text!r} is not on the screen:\n{self.text}")

    async def load(self, model: ModelInfo = MODEL) -> None:
        await self.emit(ModelLoaded(model, 1.0), StateChanged("base"))

    async def begin(self) -> None:
        """Let the engine begin with what is next."""
        self.session.take()
        await self.pilot.pause()
        await self.pilot.pause()

    async def begin_picture(self) -> Job:
        """Let the engine begin with the next picture, its stack live."""
        await self.begin()
        job = self.session.view.running
        assert job is not None
        live = StateChanged("stack" if job.stack else "base", job.stack)
        await self.emit(live, GenerationStarted(job.request, job.request.seed, 28))
        return job

    async def confirm(self) -> None:
        """Report the newest switch as done."""
        stack = self.session.view.wanted
        await self.emit(StateChanged("stack" if stack else "base", stack), switched(stack))

    async def switch_to(self, name: str) -> None:
        """Choose a LoRA alone, and report the switch as done."""
        await self.highlight(name)
        await self.press("enter")
        await self.confirm()

    async def highlight(self, name: str) -> None:
        rows = self.list.rows
        number = next(
            i for i, row in enumerate(rows) if isinstance(row, LoraRow) and row.entry.name == name
        )
        self.list.move_to(number)
        await self.pilot.pause()

    @property
    def list(self) -> LoraList:
        return self.app.main.query_one(LoraList)

    @property
    def log(self) -> list[str]:
        return [line.text for line in self.app.main.log_pane.lines]

    @property
    def toasts(self) -> list[str]:
        return [toast.message for toast in self.app._notifications]

    @property
    def screen(self) -> list[str]:
        """The screen's lines as plain text."""
        width, height = self.app.size
        lines = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in line)[:width] for line in lines][:height]

    @property
    def text(self) -> str:
        return "\n".join(self.screen)


def switched(stack: tuple[LoraRef, ...]) -> Switched:
    phases = (("plan", 0.4), ("merge", 5.6))
    report = SwitchReport(stack, (), 1, 10, 0, 0, 100, 100, "device", False, phases)
    return Switched(report)


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """What the app takes out of searches for garbage would else be kept here for ever."""
    yield
    gc.unfreeze()


@pytest.fixture
def loras(tmp_path: Path) -> Path:
    """Two nested folders, a preview, a sidecar, a truncated file, one for SD 1.5."""
    root = tmp_path / "loras"
    neon = write_lora(root / "styles/neon.safetensors", trigger="neon glow, night city")
    Image.new("RGB", (64, 64), (200, 20, 120)).save(neon.with_suffix(".png"))
    neon.with_suffix(".json").write_text(json.dumps({"preferred weight": 0.8}))
    write_lora(root / "styles/ink.safetensors", trigger="ink wash")
    write_lora(root / "styles/deep/night.safetensors")
    write_lora(root / "aya.safetensors")
    write_lora(root / "old15.safetensors", sdxl=False)
    broken = root / "broken.safetensors"
    broken.write_bytes(neon.read_bytes()[:3000])
    return root


@pytest.fixture
def settings(tmp_path: Path, loras: Path) -> AppSettings:
    return AppSettings(
        model=MODEL.path,
        loras=(loras,),
        device=None,
        dtype=None,
        output=tmp_path / "pictures",
        image_protocol="auto",
        index_path=tmp_path / "index.sqlite",
        state_path=tmp_path / "state" / "state.json",
        backup="auto",
    )


@pytest.fixture
def session() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def start(settings: AppSettings, session: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opens the app at a size, with the library scanned: `async with start(120, 36) as driver`."""
    # The machine's own readings would come between those of a test.
    monkeypatch.setattr(Services, "_start_monitor", lambda self: None)

    usual = settings

    @asynccontextmanager
    async def open_app(
        width: int = 120,
        height: int = 36,
        images: TerminalImages | None = None,
        settings: AppSettings = usual,
    ) -> AsyncIterator[Driver]:
        app = LoraSwitchApp(settings, lambda on_lost: session, images)
        try:
            async with app.run_test(size=(width, height), notifications=True) as pilot:
                driver = Driver(app, pilot, session)
                await driver.until(lambda: app.main.library.is_complete)
                await driver.until(lambda: session.sent(Load))
                await pilot.pause()
                yield driver
        finally:
            # A system watches folders for so many only.
            if app.services.library is not None:
                app.services.library.stop()

    return open_app
