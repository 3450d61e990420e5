"""Make the pictures in this folder: the real app on the real demo, driven by its keys.

Needs the `dev` extra (CairoSVG turns Textual's SVG export into PNG).
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import cairosvg
from textual.pilot import Pilot

from engine.demo import DEMO_LORAS
from engine.protocol.events import Event, GenerationFinished, ModelLoaded, Switched, Verified
from engine.session import Session
from tui_loraswitch.app.app import LoraSwitchApp
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.screens.prompt_text import PromptText

FOLDER = Path(__file__).parent
SIZES = ((80, 24), (120, 36), (200, 50))
EDITOR_SIZE, SMALLEST = (120, 36), (40, 10)
TOAST_SECONDS = 6.0
EDITED = """a large red star on a blue background, (sharp edges:1.2),
masterpiece <lora:neon_glow:0.8>, (soft light
<lora:neon_gl"""
"""A prompt being written, with a bracket that is not closed and a name to be completed."""


class WatchedSession(Session):
    """An engine in this process, and what it has told."""

    def __init__(self) -> None:
        self.told: list[Event] = []
        super().__init__()

    def tell(self, event: Event, answers: str | None = None) -> None:
        """Tell, and note it."""
        super().tell(event, answers)
        self.told.append(event)


class Shots:
    """The app under a pilot, with an engine of its own."""

    def __init__(self, home: Path) -> None:
        settings = AppSettings(
            model=None,
            loras=(DEMO_LORAS,),
            device="cpu",
            dtype=None,
            output=home / "outputs",
            image_protocol="halfcell",
            index_path=home / "index.sqlite",
            state_path=home / "state.json",
            backup="auto",
        )
        self.session = WatchedSession()
        self.app = LoraSwitchApp(settings, lambda on_lost: self.session, TerminalImages("halfcell"))

    async def until(self, pilot: Pilot[None], kind: type[object], count: int = 1) -> None:
        """Wait for the `count`th event of a kind and for the screen to follow."""

        def seen() -> bool:
            return sum(isinstance(event, kind) for event in self.session.told) >= count

        await wait(pilot, seen)
        await pilot.pause(0.5)

    def save(self, name: str) -> None:
        """Save the screen as PNG."""
        svg = re.sub(r"terminal-\d+", "terminal", self.app.export_screenshot())
        # CairoSVG fetches no web fonts; a local one keeps box drawing joined.
        svg = svg.replace("Fira Code", "DejaVu Sans Mono")
        cairosvg.svg2png(bytestring=svg.encode(), write_to=str(FOLDER / f"{name}.png"))


async def wait(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Let the app run until something holds."""
    while not condition():
        await pilot.pause(0.05)


async def find(pilot: Pilot[None], words: str, key: str) -> None:
    """Filter the list by words, act on the first hit, and clear the filter."""
    await pilot.press("slash", *words, "enter", key)
    await pilot.press("slash", *["backspace"] * len(words), "enter")


async def take(size: tuple[int, int], home: Path) -> None:
    """A day in the program at one size."""
    shots = Shots(home)
    label = f"{size[0]}x{size[1]}"
    async with shots.app.run_test(size=size, notifications=True) as pilot:
        await shots.until(pilot, ModelLoaded)
        await find(pilot, "neon", "enter")
        await shots.until(pilot, Switched)
        await pilot.press("g")
        await shots.until(pilot, GenerationFinished)
        shots.save(f"neon-{label}")
        await find(pilot, "warmth", "space")
        await shots.until(pilot, Switched, 2)
        await pilot.press("v")
        await shots.until(pilot, Verified)
        await pilot.press("g")
        await shots.until(pilot, GenerationFinished, 2)
        await pilot.pause(TOAST_SECONDS)
        shots.save(f"main-{label}")
        await pilot.press("question_mark")
        await pilot.pause(0.5)
        shots.save(f"help-{label}")
        await pilot.press("escape")
        if size == EDITOR_SIZE:
            await pilot.press("ctrl+e")
            text = shots.app.screen.query_one(PromptText)
            text.text = ""
            text.insert(EDITED)
            await pilot.pause(0.5)
            shots.save(f"editor-{label}")
            await pilot.press("escape", "escape")
        if size == SIZES[0]:
            await pilot.resize_terminal(*SMALLEST)
            await pilot.pause(0.5)
            shots.save(f"small-{SMALLEST[0]}x{SMALLEST[1]}")
    shots.session.close(timeout=10)


def main() -> None:
    """Make them all."""
    for size in SIZES:
        with tempfile.TemporaryDirectory() as home:
            asyncio.run(take(size, Path(home)))


if __name__ == "__main__":
    main()
