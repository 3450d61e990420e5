"""Sweeps and tours in the app: the form, the grid that fills, and what a lost screen leaves."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from msgspec import structs

from engine.proof.contents import FileContents
from engine.proof.digest import request_digest, weights_digest
from engine.protocol.commands import CancelJob, Draw
from engine.protocol.events import GenerationFinished, PictureSaved
from engine.sweep.facts import ModelFacts
from engine.sweep.plan import read_plan
from tests.support.certified import certified_png
from tests.tui.conftest import MODEL
from tui_loraswitch.commands.sweep import _cells
from tui_loraswitch.control import cluster_task
from tui_loraswitch.screens.sweep_form import SweepForm
from tui_loraswitch.screens.sweep_progress import SweepScreen

SIZES = [(60, 15), (80, 24)]
SMALL = structs.replace(MODEL, default_size=64)


async def draw(driver, count: int) -> None:
    """Let the engine draw the next jobs, as it would."""
    for _ in range(count):
        await driver.until(lambda: driver.session.view.waiting)
        job = await driver.begin_picture()
        folder: Path = job.request.output
        folder.mkdir(parents=True)
        path = folder / "00001-1.png"
        contents = FileContents()
        weights = weights_digest(SMALL.fingerprint, job.stack, contents)
        path.write_bytes(certified_png(weights, request_digest(job.request, contents)))
        await driver.emit(PictureSaved(path, 1, 64, 64, 4, ""), GenerationFinished((), 1.0))


async def open_form(driver) -> None:
    await driver.load(SMALL)
    driver.app.control.state = structs.replace(driver.app.control.state, prompt="a fox", seed=7)
    await driver.highlight("neon")
    await driver.press("W")
    await driver.until(lambda: isinstance(driver.app.screen, SweepForm))


@pytest.mark.parametrize("size", SIZES)
async def test_a_sweep_is_drawn_and_its_grid_shown(start, session, settings, size):
    async with start(*size) as driver:
        await open_form(driver)
        await driver.sees("Sweep", "strengths", "0.4, 0.8, 1.2", "3 cells")
        await driver.press("enter")
        await driver.until(lambda: isinstance(driver.app.screen, SweepScreen))
        await driver.sees("0/3 cells")
        await driver.until(lambda: len(session.sent(Draw)) == 3)
        await draw(driver, 1)
        await driver.sees("1/3 cells")
        # Left alone it goes on; the key shows it again.
        await driver.press("escape")
        await driver.until(lambda: driver.app.screen is driver.app.main)
        await draw(driver, 2)
        await driver.until(lambda: any("The sweep is drawn" in text for text in driver.toasts))
        await driver.press("W")
        await driver.sees("3/3 cells", "all is drawn", "▀")
        await driver.press("escape", "W")
        await driver.until(lambda: isinstance(driver.app.screen, SweepForm))

    folder = settings.output / "sweep-1"
    lines = list(map(json.loads, (folder / "cells.jsonl").read_text().splitlines()))
    assert [line["axes"]["strength"] for line in lines] == [0.4, 0.8, 1.2]
    assert {line["seed"] for line in lines} == {7}
    assert (folder / "grid.png").is_file()
    # The command line goes on with the same plan: to it these are the same cells.
    _, cells = _cells(read_plan(folder / "plan.toml"), settings)
    facts = ModelFacts.of(SMALL)
    keys = facts.keys([facts.sized(cell) for cell in cells], FileContents())
    assert keys == [line["key"] for line in lines]


async def test_what_is_wrong_is_said_in_the_form(start, session):
    async with start(80, 24) as driver:
        await open_form(driver)
        driver.app.screen.query_one("#seed").value = "1, 2, x"
        await driver.sees("seeds: “x” is no number; write them as 1, 2 or 1-4.")
        driver.app.screen.query_one("#seed").value = "1-4"
        driver.app.screen.query_one("#strength").value = "0.4-1.2 [5], 2"
        await driver.sees("24 cells")
        driver.app.screen.query_one("#strength").value = "0.4, 0.8, 1.2"
        driver.app.screen.query_one("#more").value = "cfg 4"
        await driver.sees("more axes: write them as steps = [8, 20]")
        await driver.press("enter")
        assert isinstance(driver.app.screen, SweepForm)
        driver.app.screen.query_one("#seed").value = "1, 2"
        driver.app.screen.query_one("#more").value = "steps = [4, 8]; cfg = [3]"
        await driver.sees("12 cells")
        await driver.press("escape")
        await driver.until(lambda: driver.app.screen is driver.app.main)
        assert not session.sent(Draw)


RAY = """
import json, sys
from pathlib import Path
assert "--ray" in sys.argv and Path(sys.argv[2]).name == "plan.toml"
worker = dict(name="worker 1", node="attic", device="cuda:0", cell="neon", cells=1, switches=1,
              per_minute=30, lost=None)
print(json.dumps(dict(cells=3, drawn=1, failed=0, switches=1, grid="no.png", workers=[worker])))
sys.stdout.flush()
import signal; signal.pause()
"""


async def test_ray_draws_it_and_may_be_left_or_stopped(start, session, settings, monkeypatch):
    monkeypatch.setattr("tui_loraswitch.app.sweep_keys.find_spec", lambda name: name)
    monkeypatch.setattr(cluster_task, "_PROGRAM", [sys.executable, "-c", RAY])
    async with start(80, 24) as driver:
        await open_form(driver)
        driver.app.screen.query_one("#place").value = "ray"
        await driver.press("enter")
        await driver.sees("worker 1 · attic", "1/3 cells", "now neon")
        assert not session.sent(Draw)
        await driver.press("escape", "q")
        await driver.sees("A sweep is being drawn on Ray", "leave it", "stop it")
        await driver.press("down", "enter")
        await driver.until(lambda: not driver.app.is_running)
        await driver.until(lambda: driver.app.sweep_task.progress.state == "stopped")


async def test_it_stops_and_goes_on(start, session, settings):
    async with start(80, 24) as driver:
        await open_form(driver)
        await driver.press("enter")
        await driver.until(lambda: len(session.sent(Draw)) == 3)
        await draw(driver, 1)
        await driver.sees("1/3 cells")
        await driver.press("x")
        await driver.sees("stopped", "g goes on · n another one")
        assert len(session.sent(CancelJob)) == 2
        assert not session.view.jobs
        await driver.press("g")
        await driver.until(lambda: len(session.sent(Draw)) == 5)
        await draw(driver, 2)
        await driver.sees("3/3 cells", "all is drawn", "n another one · Escape closes")
        assert "x stops" not in driver.text
        # The cells have been put in their places, and are still pictures of this session.
        await driver.press("escape", "1")
        for _ in range(2):
            await driver.sees("seed 1", "▀")
            shown = driver.app.main.picture.shown_file
            assert shown is not None
            assert shown.parent == settings.output / "sweep-1/cells"
            await driver.press("left")
    assert len(list((settings.output / "sweep-1/cells").glob("*.png"))) == 3


async def test_a_tour_draws_what_the_list_shows(start, session, settings):
    async with start(80, 24) as driver:
        await driver.load(SMALL)
        driver.app.control.state = structs.replace(driver.app.control.state, prompt="a {fox}")
        await driver.press("slash", *"folder:styles", "enter")
        await driver.until(lambda: driver.app.main.library.view.shown == 3)
        await driver.press("T")
        await driver.until(lambda: len(session.sent(Draw)) == 3)
        prompts = {draw.stack[0].name: draw.request.prompt for draw in session.sent(Draw)}
        assert prompts == {
            "ink": "a fox, ink wash",
            "neon": "a fox, neon glow, night city",
            "night": "a fox",
        }
        await draw(driver, 3)
        await driver.sees("3/3 cells", "all is drawn")
    assert (settings.output / "tour/sheet.png").is_file()


async def test_marked_loras_get_previews(start, session, loras):
    """Those without one; their pictures are small, and their marks are gone."""
    async with start(80, 24) as driver:
        await driver.load(SMALL)
        driver.app.control.state = structs.replace(driver.app.control.state, prompt="a fox")
        for name in ("ink", "night", "neon"):
            await driver.highlight(name)
            await driver.press("M")
        await driver.press("V")
        await driver.until(lambda: len(session.sent(Draw)) == 2)
        requests = [draw.request for draw in session.sent(Draw)]
        assert {(request.width, request.height) for request in requests} == {(64, 64)}
        await draw(driver, 2)
        await driver.sees("2/2 cells", "all is drawn")
        for lora in ("styles/ink", "styles/deep/night"):
            assert (loras / f"{lora}.preview.png").is_file()
        assert not (loras / "styles/neon.preview.png").exists()
        await driver.press("escape")
        await driver.highlight("ink")
        await driver.until(lambda: driver.list.highlighted.previews)
        await driver.press("V")
        await driver.until(lambda: any("has a preview already" in text for text in driver.toasts))
        # It is another's by now.
        (loras / "styles/deep/night.preview.png").write_bytes(b"mine")
        await driver.press("u")
        await driver.until(lambda: driver.toasts[-1] == "Taken back: drawing 2 previews.")
        assert not (loras / "styles/ink.preview.png").exists()
        assert (loras / "styles/deep/night.preview.png").read_bytes() == b"mine"


async def test_without_a_prompt_nothing_is_drawn(start, session):
    async with start(80, 24) as driver:
        await driver.load(SMALL)
        driver.app.control.state = structs.replace(driver.app.control.state, prompt=" ")
        await driver.press("W")
        await driver.until(lambda: any("The prompt is empty" in text for text in driver.toasts))
        await driver.press("T")
        assert not session.sent(Draw)
