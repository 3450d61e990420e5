"""Make `audition.gif`: the real app on the real demo, the picture following the cursor.

Needs the `dev` extra (CairoSVG turns Textual's SVG export into pictures).
"""

from __future__ import annotations

import asyncio
import io
import re
import tempfile
from pathlib import Path

import cairosvg
from PIL import Image
from textual.pilot import Pilot

from engine.protocol.events import ModelLoaded
from screenshots.make import FOLDER, Shots

SIZE = (100, 30)
WIDTH = 760
"""Pixels."""
FRAME = 0.25
"""Seconds."""
KEYS = ("down",) * 6 + ("plus",) * 3 + ("minus",) * 3 + ("up",) * 2


class Film:
    """Frames of the app; they are drawn when all are taken, so that the app is as fast as it is."""

    def __init__(self, shots: Shots) -> None:
        self._shots = shots
        self._frames: list[str] = []

    async def run(self, pilot: Pilot[None], frames: int) -> None:
        """Take some frames, one after another."""
        for _ in range(frames):
            await pilot.pause(FRAME)
            self._frames.append(self._shots.app.export_screenshot())

    def save(self, path: Path) -> None:
        """Write them as one GIF, which goes on for ever."""
        first, *others = map(_drawn, self._frames)
        duration = int(FRAME * 1000)
        first.save(path, save_all=True, append_images=others, duration=duration, loop=0)


def _drawn(frame: str) -> Image.Image:
    svg = re.sub(r"terminal-\d+", "terminal", frame).replace("Fira Code", "DejaVu Sans Mono")
    data = cairosvg.svg2png(bytestring=svg.encode(), output_width=WIDTH)
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return image.quantize(64, dither=Image.Dither.NONE)


async def take(home: Path) -> None:
    """Go through the list, change a strength, and rest."""
    shots = Shots(home)
    film = Film(shots)
    async with shots.app.run_test(size=SIZE) as pilot:
        await shots.until(pilot, ModelLoaded)
        await pilot.press("home", "a")
        await film.run(pilot, 4)
        for key in KEYS:
            await pilot.press(key)
            await film.run(pilot, 2)
        await film.run(pilot, 10)
    film.save(FOLDER / "audition.gif")
    shots.session.close(timeout=10)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(take(Path(name)))
