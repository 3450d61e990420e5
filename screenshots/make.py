"""Make the pictures in this folder: the real app on the real demo, driven by its keys.

It shows them as a terminal with Kitty's protocol does. Needs the DejaVu fonts.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from engine.demo import DEMO_LORAS
from engine.protocol.events import Event, GenerationFinished, ModelLoaded, Verified
from engine.session import Session
from screenshots.terminal_picture import Line, picture_of
from tui_loraswitch.app.app import LoraSwitchApp
from tui_loraswitch.config.audition import AuditionSettings
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.images.full_picture import FullPicture, Packed
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.screens.prompt_text import PromptText

FOLDER = Path(__file__).parent
CELL = 12, 24
SIZES = ((80, 24), (120, 36))
EDITOR_SIZE, SMALLEST = (120, 36), (40, 10)
TOAST_SECONDS = 6.0
PROMPT = "a red house and a green tree on a blue background, hills"
SEED, STEPS = 0, 24
FIRST, SECOND = ("neon", 4), ("night", 12)
"""Words for a LoRA, and how often its strength is made less."""
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
    """The app under a pilot, with an engine of its own; `state` is what it remembers."""

    def __init__(self, home: Path, cell: tuple[int, int] = CELL, **state: object) -> None:
        (home / "state-demo.json").write_text(json.dumps(state), encoding="utf-8")
        settings = AppSettings(
            model=None,
            loras=(DEMO_LORAS,),
            device="cpu",
            dtype=None,
            output=home / "outputs",
            image_protocol="kitty",
            index_path=home / "index.sqlite",
            state_path=home / "state.json",
            backup="auto",
            audition=AuditionSettings(kib_per_second=1000),
        )
        self.session = WatchedSession()
        images = TerminalImages("kitty", *cell)
        self.app = LoraSwitchApp(settings, lambda on_lost: self.session, images)

    async def until(self, pilot: Pilot[None], kind: type[object], count: int = 1) -> None:
        """Wait for the `count`th event of a kind and for the screen to follow."""
        await wait(pilot, lambda: self.count(kind) >= count)
        await pilot.pause(0.5)

    def count(self, kind: type[object]) -> int:
        """How many events of a kind there were."""
        return sum(isinstance(event, kind) for event in self.session.told)

    def seen(self) -> tuple[list[Line], list[Packed]]:
        """The lines of the screen, and the pictures that the terminal was sent for it."""
        stack = self.app._background_screens
        update: Any = self.app.screen._compositor.render_update(full=True, screen_stack=stack)
        pictures = [
            widget._packed
            for screen in self.app.screen_stack
            for widget in screen.query(FullPicture)
        ]
        lines = [[segment for strip in line for segment in strip] for line in update.strips]
        return lines, pictures

    def save(self, name: str) -> None:
        """Save the screen as PNG."""
        lines, pictures = self.seen()
        picture_of(lines, CELL, pictures).save(FOLDER / f"{name}.png", optimize=True)


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
    shots = Shots(home, prompt=PROMPT, seed=SEED, steps=STEPS)
    label = f"{size[0]}x{size[1]}"
    async with shots.app.run_test(size=size, notifications=True) as pilot:
        await shots.until(pilot, ModelLoaded)
        await pilot.press("g")
        await shots.until(pilot, GenerationFinished)
        for (words, less), key in ((FIRST, "enter"), (SECOND, "space")):
            await find(pilot, words, key)
            await pilot.press(*["minus"] * less)
        await pilot.pause(3)
        await pilot.press("v")
        await shots.until(pilot, Verified)
        await pilot.press("g")
        await shots.until(pilot, GenerationFinished, 2)
        await pilot.pause(TOAST_SECONDS)
        shots.save(f"main-{label}")
        if size == EDITOR_SIZE:
            await show_more(shots, pilot)
        if size == SIZES[0]:
            await pilot.resize_terminal(*SMALLEST)
            await pilot.pause(0.5)
            shots.save(f"small-{SMALLEST[0]}x{SMALLEST[1]}")
    shots.session.close(timeout=10)


async def show_more(shots: Shots, pilot: Pilot[None]) -> None:
    """The editor, and two pictures beside each other."""
    width, height = EDITOR_SIZE
    await pilot.press("ctrl+e")
    text = shots.app.screen.query_one(PromptText)
    text.text = ""
    text.insert(EDITED)
    await pilot.pause(0.5)
    shots.save(f"editor-{width}x{height}")
    await pilot.press("escape", "escape", "P")
    await pilot.pause(2)
    await pilot.press("space", "right", "enter")
    await pilot.pause(1)
    await pilot.press("c")
    await pilot.pause(1)
    shots.save(f"compare-{width}x{height}")


def main() -> None:
    """Make them all, or those of the sizes that are named: `80x24`."""
    for size in SIZES:
        if not sys.argv[1:] or f"{size[0]}x{size[1]}" in sys.argv[1:]:
            with tempfile.TemporaryDirectory() as home:
                asyncio.run(take(size, Path(home)))


if __name__ == "__main__":
    main()
