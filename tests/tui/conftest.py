"""A library of small real files, a session that records commands, an app between the two."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from textual.pilot import Pilot

from engine.events import Event, ModelInfo, ModelLoaded, StateChanged, Switched
from engine.refs import LoraRef
from engine.reports import SwitchReport
from tui_loraswitch.app import LoraSwitchApp
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.panes.lora_list import LoraList
from tui_loraswitch.panes.rows import LoraRow
from tui_loraswitch.services import Services
from tui_loraswitch.settings import AppSettings

# What is tested is the outcome; a busy machine may take its time.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

PATIENCE = 500
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


class FakeSession:
    """Takes commands down; the test says what the engine reports."""

    def __init__(self) -> None:
        self.commands: list[tuple[Any, ...]] = []
        self.expected: Any = None
        """The stack that the last picture was asked for with."""
        self.closes_in_time = True

    def load(
        self,
        model: Path | None,
        device: Any,
        dtype: Any,
        backup: str,
        vae: Path | None,
        mode: str,
        compiled: bool,
        parts_from: Path | None,
        prediction: str | None,
    ) -> None:
        choices = (vae, mode, compiled, parts_from, prediction)
        extra = [value for value in choices if value not in (None, "auto", False)]
        self.commands.append(("load", model, device, dtype, backup, *extra))

    def switch(self, stack: Any) -> None:
        self.commands.append(("switch", tuple(stack)))

    def generate(self, request: Any, stack: Any = None) -> None:
        self.commands.append(("generate", request))
        self.expected = stack

    def cancel(self) -> None:
        self.commands.append(("cancel",))

    def set_backup(self, tier: str) -> None:
        self.commands.append(("set_backup", tier))

    def verify(self) -> None:
        self.commands.append(("verify",))

    def prefetch(self, ref: LoraRef) -> None:
        self.commands.append(("prefetch", ref))

    def close(self, timeout: float) -> bool:
        self.commands.append(("close", timeout))
        return self.closes_in_time

    def sent(self, name: str) -> list[Any]:
        """What was asked of one command: its argument, or the whole tuple when it has several."""
        found = [command for command in self.commands if command[0] == name]
        return [command[1] if len(command) == 2 else command for command in found]


class Driver:
    """The app under test with its pilot, session and shortcuts."""

    def __init__(self, app: LoraSwitchApp, pilot: Pilot[None], session: FakeSession) -> None:
        self.app, self.pilot, self.session = app, pilot, session

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def emit(self, *events: Event) -> None:
        """Let the engine report, as its thread would."""
        for event in events:
            self.app.report(event)
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

    async def confirm(self) -> None:
        """Report the newest switch as done."""
        stack = self.session.sent("switch")[-1]
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
def session() -> FakeSession:
    return FakeSession()


@pytest.fixture
def start(settings: AppSettings, session: FakeSession, monkeypatch: pytest.MonkeyPatch) -> Any:
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
        app = LoraSwitchApp(settings, session, images)
        async with app.run_test(size=(width, height), notifications=True) as pilot:
            driver = Driver(app, pilot, session)
            await driver.until(lambda: app.main.library.is_complete)
            await driver.until(lambda: session.sent("load"))
            await pilot.pause()
            yield driver

    return open_app
