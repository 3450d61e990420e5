"""Make `tour.gif`: the first minutes with the demo, by keys alone.

What takes long is shown in less: a frame stays as long as it takes to see what is new in it.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from textual.pilot import Pilot

from engine.protocol.events import GenerationFinished, ModelLoaded, Switched, Verified
from screenshots.film import save_film
from screenshots.make import FOLDER, Shots
from screenshots.terminal_picture import BACK, FRONT, Line, picture_of
from tui_loraswitch.images.full_picture import Packed

SIZE, CELL = (100, 30), (10, 20)
COLOURS = 192
CAPTION = 44
"""Pixels below the terminal for the key that is pressed, and what it does."""
LOOK = 0.25
"""Seconds between two looks at the app while it works."""
SMALL, FULL = 1.2, 8.0
"""Seconds until an audition's small picture is there, and then the full one."""
PROMPT, SEED, STEPS = "a large red boat on a blue background, waves", 0, 20


@dataclass(frozen=True)
class Frame:
    """A moment: the screen, the key that led to it and what it does, and how long it is seen."""

    lines: list[Line]
    pictures: list[Packed]
    key: str
    words: str
    seconds: float


class Film:
    """Takes frames of the app."""

    def __init__(self, shots: Shots, pilot: Pilot[None]) -> None:
        self._shots, self._pilot = shots, pilot
        self._key = self._words = ""
        self.frames: list[Frame] = []

    def say(self, key: str, words: str) -> None:
        """What is pressed from now on, and what it does."""
        self._key, self._words = key, words

    async def press(self, *keys: str, seconds: float = 0.8) -> None:
        """Press keys, and show what comes of them."""
        await self._pilot.press(*keys)
        await self._pilot.pause(LOOK)
        self.look(seconds)

    async def until(self, is_done: Callable[[], bool], seconds: float, most: int = 8) -> None:
        """Show how something goes on, in so many frames at most, and its end for some seconds."""
        while not is_done():
            await self._pilot.pause(LOOK)
            self.look(LOOK)
        await self._pilot.pause(1.0)
        self._thin_out(most)
        self.look(seconds)

    def look(self, seconds: float) -> None:
        """Take a frame."""
        lines, pictures = self._shots.seen()
        self.frames.append(Frame(lines, pictures, self._key, self._words, seconds))

    def _thin_out(self, most: int) -> None:
        """Leave so many of the frames with the words of now."""
        first = next(n for n, frame in enumerate(self.frames) if frame.words == self._words)
        these = self.frames[first:]
        if len(these) > most:
            self.frames[first:] = [these[n * len(these) // most] for n in range(most)]


async def take(home: Path) -> list[Frame]:
    """Draw, switch, draw again, look through the list, and compare."""
    shots = Shots(home, CELL, prompt=PROMPT, seed=SEED, steps=STEPS)
    async with shots.app.run_test(size=SIZE) as pilot:
        await shots.until(pilot, ModelLoaded)
        film = Film(shots, pilot)
        film.say("loraswitch", "SDXL and your LoRAs, in a terminal")
        film.look(1.6)
        film.say("g", "draws with the base model")
        await film.press("g")
        await film.until(lambda: shots.count(GenerationFinished) >= 1, 1.6)
        film.say("/neon", "finds")
        for key in ("slash", *"neon"):
            await film.press(key, seconds=0.12)
        film.say("Enter", "switches to the LoRA, in place")
        await film.press("enter", seconds=0.5)
        await film.press("enter", seconds=0.4)
        await film.until(lambda: shots.count(Switched) >= 1, 1.4)
        film.say("g", "draws the same seed with it")
        await film.press("g")
        await film.until(lambda: shots.count(GenerationFinished) >= 2, 2.0)
        await pilot.press("slash", *["backspace"] * 4, "enter")
        film.say("0", "back to the base model")
        await film.press("0", seconds=1.0)
        film.say("v", "proves it: not one weight differs")
        await film.press("v", seconds=0.3)
        await film.until(lambda: shots.count(Verified) >= 1, 1.8, most=2)
        film.say("a", "audition: the picture follows the cursor")
        await film.press("home", "J", "J", "a", seconds=0.4)
        for _ in range(3):
            await film.press("J", seconds=0.2)
            await pilot.pause(SMALL)
            film.look(0.5)
            await pilot.pause(FULL)
            film.look(1.0)
        await film.press("a", seconds=0.4)
        film.say("P", "the gallery; Space and Enter compare two")
        await film.press("P", seconds=1.4)
        await film.press("space", "right", seconds=0.5)
        await film.press("enter", seconds=0.2)
        await film.press("c", seconds=2.5)
    shots.session.close(timeout=10)
    return film.frames


def drawn(frame: Frame) -> Image.Image:
    """A frame with its words below."""
    screen = picture_of(frame.lines, CELL, frame.pictures)
    image = Image.new("RGB", (screen.width, screen.height + CAPTION), BACK)
    image.paste(screen)
    draw = ImageDraw.Draw(image)
    bold = ImageFont.truetype("DejaVuSansMono-Bold.ttf", 20)
    plain = ImageFont.truetype("DejaVuSans.ttf", 20)
    middle, left = screen.height + CAPTION // 2, 16
    width = int(draw.textlength(frame.key, font=bold))
    draw.rounded_rectangle(
        (left, middle - 15, left + width + 20, middle + 15), 6, fill=(122, 165, 255)
    )
    draw.text((left + 10, middle), frame.key, font=bold, fill=BACK, anchor="lm")
    draw.text((left + width + 36, middle), frame.words, font=plain, fill=FRONT, anchor="lm")
    return image


def main() -> None:
    """Take the film, and save it."""
    with tempfile.TemporaryDirectory() as home:
        frames = asyncio.run(take(Path(home)))
    pictures = [drawn(frame) for frame in frames]
    save_film(pictures, [frame.seconds for frame in frames], FOLDER / "tour.gif", COLOURS)


if __name__ == "__main__":
    main()
