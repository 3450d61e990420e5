"""How long the gallery takes to open with many pictures, and each key in it."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from textual import events
from textual.app import App

from engine.gallery.thumbnails import Thumbnails
from engine.generate.picture_bytes import encode_picture
from engine.protocol.making import Making, encode_making
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.panes.picture_area import PictureArea
from tui_loraswitch.screens.gallery.grid import GalleryGrid
from tui_loraswitch.screens.gallery.records import GalleryRecords
from tui_loraswitch.screens.gallery.screen import GalleryScreen

_DAY = 86_400
_BETWEEN = 0.1
"""Seconds between two keys, in which thumbnails come."""
_KEYS = ("right", "down", "down", "left", "up", "pagedown", "pagedown", "pageup", "end", "home")
PICTURES, KEYS = 10_000, 400


def write_pictures(folder: Path, count: int) -> None:
    """Small PNGs of some hundred days, as they are drawn here."""
    folder.mkdir(parents=True, exist_ok=True)
    dice, now = random.Random(1), time.time()
    for number in range(count):
        image = Image.new("RGB", (64, 64), tuple(dice.choices(range(256), k=3)))
        request = GenerateRequest(f"a fox number {number}", folder, seed=number)
        stack = (LoraRef(f"/loras/style{number % 50}.safetensors", 0.8),)
        making = encode_making(Making(request, stack))
        text = f"{request.prompt}\nSteps: 28, Sampler: DPM++ 2M, Seed: {number}"
        path = folder / f"{number:05}-{number}.png"
        path.write_bytes(encode_picture(image, "png", text, making)[0])
        os.utime(path, (now - number * 300 * _DAY / count,) * 2)


class _Nobody:
    def use_again(self, path: Path, draw: bool) -> None:
        """Nothing is drawn."""

    def copy_of(self, path: Path) -> None:
        """Nothing is copied."""

    def tell_of(self, path: Path) -> None:
        """Nothing is told."""


async def _measure(folder: Path, keys: int) -> tuple[float, list[float], int]:
    """Seconds until all pictures are listed, seconds of each key, and how many pictures."""
    app: App[None] = App()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        records = GalleryRecords(folder / "store.db", (folder / "pictures",))
        area = partial(PictureArea, TerminalImages("halfcell"), PictureBudget())
        screen = GalleryScreen(records, Thumbnails(folder / "thumbnails"), _Nobody(), area)
        start = time.perf_counter()
        app.push_screen(screen)
        while not (screen.is_mounted and screen.grid.rows):
            await asyncio.sleep(0.001)
        opened = time.perf_counter() - start
        # What the scan does beside is a part of it.
        times = []
        for number in range(keys):
            times.append(await _key(app, screen.grid, _KEYS[number % len(_KEYS)]))
            await asyncio.sleep(_BETWEEN)
        return opened, times, len(screen.grid.rows)


async def _key(app: App[None], grid: GalleryGrid, key: str) -> float:
    """Seconds from a key to the frame with the cursor on another picture."""
    before, painted = grid.cursor, asyncio.Event()
    start = time.perf_counter()
    app.post_message(events.Key(key, None))
    while grid.cursor == before:
        await asyncio.sleep(0)
    grid.call_after_refresh(painted.set)
    await painted.wait()
    return time.perf_counter() - start


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds, with the number of pictures and of keys they come from."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder / "pictures", 60 if quick else PICTURES)
        records = GalleryRecords(folder / "store.db", (folder / "pictures",))
        start = time.perf_counter()
        records.scan(lambda report: None)
        first = time.perf_counter() - start
        opened, times, found = asyncio.run(_measure(folder, 20 if quick else KEYS))
    return {
        "pictures": found,
        "first_scan_seconds": round(first, 2),
        "open_seconds": round(opened, 3),
        "keys": len(times),
        "key_median_milliseconds": round(1000 * statistics.median(times), 1),
        "key_99th_milliseconds": round(1000 * statistics.quantiles(times, n=100)[98], 1),
    }
