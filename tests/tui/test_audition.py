"""Auditions: what the cursor is on is asked for at once, and in full where it rests."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs
from PIL import Image

from engine.demo import DEMO_LORAS
from engine.protocol.commands import Audition, AuditionAhead, Draw, KeepAudition
from engine.protocol.events import (
    Auditioned,
    CommandFailed,
    GenerationFinished,
    PictureSaved,
)
from tests.tui.conftest import MODEL, Driver
from tui_loraswitch.app import audition as audition_module
from tui_loraswitch.config.audition import AuditionSettings, read_audition

PROMPT = "a fox in the snow"


def auditions(driver: Driver) -> list[Audition]:
    return driver.session.sent(Audition)


def names(wish: Audition) -> list[str]:
    return [ref.name for ref in wish.stack]


async def ready(driver: Driver) -> None:
    await driver.load()
    driver.app.control.state = structs.replace(driver.app.control.state, prompt=PROMPT, seed=7)


@pytest.fixture
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor never rests for long enough."""
    monkeypatch.setattr(audition_module, "REST_SECONDS", 1e6)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "seen.png"
    Image.effect_noise((64, 64), 80).convert("RGB").save(path)
    return path


async def test_the_picture_follows_the_cursor(start, no_rest, picture: Path) -> None:
    async with start() as driver:
        await ready(driver)
        await driver.highlight("neon")
        await driver.press("down", "up")
        assert not auditions(driver), "it is off until a"
        await driver.press("a")
        first = auditions(driver)[-1]
        assert names(first) == ["neon"]
        assert first.request is not None
        assert (first.request.prompt, first.request.seed) == (PROMPT, 7)
        assert (first.request.steps, first.request.width, first.request.height) == (4, 512, 512)
        await driver.highlight("ink")
        assert names(auditions(driver)[-1]) == ["ink"]
        assert driver.session.view.wanted == (), "the stack that was chosen stays"
        await driver.emit(Auditioned(picture, 0.2, True))
        await driver.sees("Audition ink 1.00", "4 steps")
        await driver.until(lambda: driver.app.main.picture.area.half_cells.cells.rows)
        await driver.press("a")
        assert auditions(driver)[-1] == Audition(None)
        await driver.highlight("aya")
        assert auditions(driver)[-1] == Audition(None)


async def test_the_folded_screen_names_what_is_auditioned(start, no_rest, picture: Path) -> None:
    async with start(80, 24) as driver:
        await ready(driver)
        await driver.highlight("ink")
        await driver.press("a")
        await driver.sees("ink 1.00 …", "a ends · Y keeps")
        await driver.emit(Auditioned(picture, 0.2, True))
        await driver.sees("ink 1.00 · 4 steps")
        await driver.highlight("neon")
        await driver.sees("neon 0.80 …")
        await driver.press("a")
        assert "a ends" not in driver.text


async def test_strengths_and_the_stack_count_at_once(start, no_rest) -> None:
    async with start() as driver:
        await ready(driver)
        await driver.highlight("ink")
        await driver.press("a", "plus", "plus")
        assert auditions(driver)[-1].stack[0].unet == pytest.approx(1.1)
        assert driver.session.view.wanted == (), "it is not chosen yet"
        await driver.press("enter")
        assert driver.app.control.view.wanted[0].unet == pytest.approx(1.1)
        await driver.press("minus")
        assert auditions(driver)[-1].stack[0].unet == pytest.approx(1.05)
        await driver.highlight("aya")
        assert names(auditions(driver)[-1]) == ["ink", "aya"]
        count = len(auditions(driver))
        await driver.confirm()
        assert len(auditions(driver)) == count, "nothing of the picture has changed"


async def test_where_the_cursor_rests_the_full_picture_comes(
    start, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audition_module, "REST_SECONDS", 0.05)
    async with start() as driver:
        await ready(driver)
        await driver.highlight("ink")
        await driver.press("a")
        await driver.pilot.pause(0.2)
        assert len(auditions(driver)) == 1, "the quick one is not there yet"
        await driver.emit(Auditioned(picture, 0.2, True))
        await driver.until(lambda: len(auditions(driver)) == 2)
        full = auditions(driver)[-1].request
        assert full is not None
        assert (full.steps, full.width, full.sampler) == (28, 0, "DPM++ 2M")
        await driver.emit(Auditioned(picture, 2.0, True))
        await driver.sees("28 steps")
        await driver.pilot.pause(0.2)
        assert len(auditions(driver)) == 2
        await driver.press("g")
        assert driver.session.sent(Draw)[-1].stack == (), "g draws what is chosen"


async def test_only_the_newest_picture_is_shown(start, no_rest, picture: Path) -> None:
    async with start() as driver:
        await ready(driver)
        await driver.highlight("ink")
        await driver.press("a")
        await driver.begin()
        await driver.highlight("neon")
        await driver.emit(Auditioned(picture, 0.2, True))
        assert "Audition ink" not in driver.text
        await driver.emit(Auditioned(picture, 0.2, True))
        await driver.sees("Audition neon")


async def test_what_is_likely_next_is_drawn_ahead(start, no_rest, picture: Path) -> None:
    async with start() as driver:
        await ready(driver)
        await driver.highlight("ink")
        await driver.press("a")
        assert driver.session.sent(AuditionAhead) == [], "what is wished goes first"
        await driver.emit(Auditioned(picture, 0.2, True))
        await driver.until(lambda: driver.session.sent(AuditionAhead))
        ahead = driver.session.sent(AuditionAhead)[-1]
        await driver.press("down")
        wished = auditions(driver)[-1]
        assert (wished.request, wished.stack) == (ahead.request, ahead.stack), "the next row"
        await driver.press("plus")
        await driver.emit(Auditioned(picture, 0.2, True))
        await driver.until(lambda: len(driver.session.sent(AuditionAhead)) == 2)
        ahead = driver.session.sent(AuditionAhead)[-1]
        await driver.press("plus")
        assert auditions(driver)[-1].stack == ahead.stack, "the next strength"
        await driver.emit(Auditioned(picture, 3.0, True))
        assert len(driver.session.sent(AuditionAhead)) == 2, "each of its steps takes too long"


async def test_the_picture_that_is_seen_can_be_kept(start, no_rest, picture: Path) -> None:
    async with start() as driver:
        await ready(driver)
        await driver.highlight("ink")
        await driver.press("Y")
        await driver.until(lambda: any("No picture of an audition" in t for t in driver.toasts))
        await driver.press("a")
        await driver.emit(Auditioned(picture, 0.2, True))
        seen = auditions(driver)[-1]
        await driver.highlight("neon")
        await driver.press("Y")
        assert driver.session.sent(KeepAudition) == [KeepAudition(seen.request, seen.stack)]
        saved = PictureSaved(picture, 7, 64, 64, 4, "")
        await driver.begin()
        await driver.emit(saved, GenerationFinished((saved,), 0.0))
        await driver.until(lambda: any("Kept: seen.png" in text for text in driver.toasts))
        assert driver.app.main.picture.shown_file == picture


async def test_what_cannot_be_drawn_is_said_in_its_place(start, no_rest) -> None:
    async with start() as driver:
        await ready(driver)
        await driver.highlight("ink")
        await driver.press("a")
        await driver.emit(CommandFailed("audition", "ink does not fit.", refused=True))
        await driver.sees("ink does not fit.")
        assert driver.toasts == []


async def test_the_demo_brings_its_own_lora_for_few_steps(start, no_rest) -> None:
    async with start() as driver:
        await ready(driver)
        await driver.load(structs.replace(MODEL, is_demo=True, default_size=192))
        await driver.highlight("ink")
        await driver.press("a")
        wish = auditions(driver)[-1]
        assert [ref.path for ref in wish.stack][1:] == [DEMO_LORAS / "speed/four_steps.safetensors"]
        assert wish.request is not None
        assert (wish.request.sampler, wish.request.cfg_scale) == ("LCM", 1)
        assert (wish.request.steps, wish.request.width) == (3, 160)


def test_the_config_file_says_how_they_are_drawn() -> None:
    table = {"steps": 8, "size": 256, "lora": "~/few", "sampler": "LCM", "cfg_scale": 1}
    found = read_audition({**table, "kib_per_second": 20}, Path)
    assert found == AuditionSettings(8, 256, Path("~/few"), "LCM", 1.0, 20.0)
    for wrong in ([], {"steps": 0}, {"steps": True}, {"size": -1}, {"colour": 1}, {"cfg_scale": 0}):
        with pytest.raises(ValueError, match=r"table|steps"):
            read_audition(wrong, Path)
