"""What only decorates the screen may fail in any way, or never end: the app goes on, and leaves."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image
from textual import work
from textual.app import App
from textual.timer import Timer
from textual.widgets import Static
from textual.worker import WorkerCancelled

from engine.protocol.events import PictureSaved
from tui_loraswitch.images.halfcell import HalfCellPicture
from tui_loraswitch.panes import details, picture_area
from tui_loraswitch.panes.background import in_background

from .conftest import write_lora

RED, GREEN, BLUE = (200, 20, 20), (20, 200, 20), (20, 20, 200)
MP4 = b"\0\0\0\x20ftypisom" + bytes(5000)


def saved(kind: str, colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(file, kind)
    return file.getvalue()


async def shown_colour(driver) -> tuple[int, int, int]:
    """The colour of the preview in the details, roughly: the channels above half."""
    shown = driver.app.main.details.query_one(HalfCellPicture)
    await driver.until(lambda: shown.display and shown.size.area > 0)
    color = next(iter(shown.render_line(1))).style.color
    return tuple(200 if channel > 128 else 20 for channel in color.triplet)


async def test_the_next_preview_is_tried(start, loras):
    write_lora(loras / "film.safetensors")
    (loras / "film.preview.png").write_bytes(MP4)
    (loras / "film.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    (loras / "film.jpeg").write_bytes(saved("JPEG", GREEN))
    async with start() as driver:
        await driver.highlight("film")
        assert await shown_colour(driver) == GREEN


async def test_the_picture_in_the_header_is_the_last(start, loras):
    texts = [base64.b64encode(content).decode() for content in (MP4, b"\x89PNG\r\n\x1a\nbroken")]
    thumbnail = base64.b64encode(saved("PNG", BLUE)).decode()
    metadata = {
        "ssmd_cover_images": json.dumps(texts),
        "modelspec.thumbnail": f"data:image/png;base64,{thumbnail}",
    }
    write_lora(loras / "film.safetensors", **metadata)
    (loras / "film.preview.png").write_bytes(MP4)
    async with start() as driver:
        await driver.highlight("film")
        assert await shown_colour(driver) == BLUE


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("a fault"), SystemError("in C")])
async def test_a_preview_that_fails_in_any_way_leaves_the_details_without_one(
    start, monkeypatch, error
):
    tried = []

    def fail(source, *size_and_colours):
        tried.append(source)
        raise error

    monkeypatch.setattr(details, "fit_half_cells", fail)
    async with start() as driver:
        await driver.highlight("neon")
        await driver.until(lambda: tried)
        await driver.sees("neon glow, night city")
        await driver.highlight("ink")
        await driver.sees("ink wash")
        assert driver.app.is_running
    assert not driver.app.return_code


async def test_previews_that_never_end_are_few_and_another_comes_when_one_ends(
    start, loras, monkeypatch
):
    for name in ("film 1", "film 2", "film 3", "film 4"):
        write_lora(loras / f"{name}.safetensors").with_suffix(".png").touch()
    reading, go_on = [], threading.Event()
    real = details.fit_half_cells

    def fit(source, width, height, is_thrifty=False):
        if "film" in str(source):
            reading.append(source.stem)
            go_on.wait()
        return real(source, width, height, is_thrifty)

    monkeypatch.setattr(details, "fit_half_cells", fit)
    monkeypatch.setattr(details, "PATIENCE", 0.01)
    async with start() as driver:
        await driver.highlight("neon")
        assert await shown_colour(driver) == RED
        for name in ("film 1", "film 2", "film 3"):
            await driver.highlight(name)
            await driver.until(lambda name=name: name in reading)
        await driver.highlight("film 4")
        shown = driver.app.main.details.query_one(HalfCellPicture)
        await driver.until(lambda: not shown.display)
        assert reading == ["film 1", "film 2", "film 3"]
        await driver.highlight("neon")
        go_on.set()
        assert await shown_colour(driver) == RED


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("a fault")])
async def test_a_picture_that_fails_in_any_way_is_said_in_its_place(
    start, monkeypatch, tmp_path, error
):
    def fail(source, *size_and_colours):
        raise error

    monkeypatch.setattr(picture_area, "fit_half_cells", fail)
    async with start() as driver:
        await driver.load()
        await driver.emit(PictureSaved(tmp_path / "1.png", 7, 64, 64, 28, ""))
        await driver.sees("the picture cannot be shown; the log file has the details")
        assert driver.app.is_running


async def test_work_in_the_background_gives_what_it_makes_or_raises():
    assert await in_background(int, "7") == 7
    with pytest.raises(ValueError, match="invalid literal"):
        await in_background(int, "x")
    names = await in_background(lambda: threading.current_thread().daemon)
    assert names is True


async def test_work_that_is_not_awaited_any_more_disturbs_nobody():
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait()

    task = asyncio.create_task(in_background(work))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await asyncio.sleep(0)


_HANGING = """
import asyncio, sys, threading
from pathlib import Path
from tests.tui.conftest import FakeEngine
from tui_loraswitch.app.app import LoraSwitchApp
from tui_loraswitch.panes import details
from tui_loraswitch.app.services import Services
from tui_loraswitch.config.settings import AppSettings

reading = threading.Event()

def never(source, width, height, is_thrifty):
    reading.set()
    threading.Event().wait()

details.fit_half_cells = never
Services._start_monitor = lambda self: None
folder = Path(sys.argv[1])
settings = AppSettings(
    model=None, loras=(folder / "loras",), device=None, dtype=None, output=folder,
    image_protocol="auto", index_path=folder / "index", state_path=folder / "state", backup="auto",
)
app = LoraSwitchApp(settings, lambda on_lost: FakeEngine())

async def leave(pilot):
    while not reading.is_set():
        await pilot.pause(0.05)
    await pilot.press("q")

app.run(headless=True, auto_pilot=leave, size=(120, 36))
print("left with", app.return_code)
"""


def test_a_preview_that_is_read_for_ever_keeps_nobody_from_leaving(tmp_path):
    write_lora(tmp_path / "loras/film.safetensors").with_suffix(".png").touch()
    root = Path(__file__).parent.parent.parent
    result = subprocess.run(
        [sys.executable, "-c", _HANGING, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=root,
        check=True,
    )
    assert result.stdout == "left with 0\n"


async def test_it_waits_until_no_key_comes(start, monkeypatch):
    begun_anew: list[Timer] = []
    monkeypatch.setattr(Timer, "reset", lambda self: begun_anew.append(self))
    async with start() as driver:
        await driver.highlight("neon")
        details = driver.app.main.details
        await driver.until(lambda: details._rest is not None)
        begun_anew.clear()
        await driver.press("ctrl+l")
        assert begun_anew == [details._settle, details._rest]


async def test_what_was_read_for_a_widget_that_is_removed_is_shown_nowhere():
    began, may_end, shown = threading.Event(), threading.Event(), []

    class Reader(Static):
        @work
        async def read(self) -> None:
            shown.append(await in_background(self._slowly))

        def _slowly(self) -> str:
            began.set()
            may_end.wait()
            return "words"

    async with App[None]().run_test() as pilot:
        reader = Reader()
        await pilot.app.mount(reader)
        worker = reader.read()
        await asyncio.to_thread(began.wait)
        reader._pruning = True  # as between the removal of its children and its own
        may_end.set()
        with pytest.raises(WorkerCancelled):
            await worker.wait()
        assert shown == []
        reader._pruning = False
