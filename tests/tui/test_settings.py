"""The settings screen: its sections, what they come to, and that it is usable when small."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs
from PIL import Image
from textual import events
from textual.widgets import Input, Select

from engine.errors import EngineError
from engine.protocol.commands import Draw
from engine.protocol.passes import HiresPass, StartPicture
from tests.tui.conftest import MODEL
from tui_loraswitch.config.ui_state import UiState, load_state, save_state
from tui_loraswitch.screens.settings_form import read_form

ALL = UiState(
    prompt="a fox",
    variation_seed=5,
    variation_strength=0.25,
    styles="Film",
    region_ratios="1,2",
    region_masks="/a/left.png; /a/right.png",
    start_picture="/a/fox.png",
    denoising=0.4,
    resize="fill",
    mask="/a/mask.png",
    mask_blur=8.0,
    hires_scale=1.5,
    hires_denoising=0.3,
    hires_upscaler="Lanczos",
    hires_steps=9,
    hires_prompt="a cat",
)


def test_settings_go_into_the_request_and_come_back_from_a_draft(tmp_path: Path) -> None:
    request = ALL.request(Path("/out"))
    mask = Path("/a/mask.png")
    assert request.start == StartPicture(Path("/a/fox.png"), 0.4, "fill", False, mask, 8.0)
    assert request.hires == HiresPass(1.5, 0.3, "Lanczos", 9, "a cat")
    assert request.region_masks == (Path("/a/left.png"), Path("/a/right.png"))
    assert (request.variation_seed, request.variation_strength) == (5, 0.25)
    assert UiState(styles="Film").with_draft(request) == ALL
    cleared = ALL.with_draft(replace(request, start=None, hires=None))
    assert (cleared.start_picture, cleared.hires_scale, cleared.denoising) == ("", 1.0, 0.4)
    save_state(tmp_path / "state.json", ALL)
    assert load_state(tmp_path / "state.json") == ALL
    (tmp_path / "state.json").write_text('{"resize": "bend", "hires_upscaler": 7, "noise": "x"}')
    assert load_state(tmp_path / "state.json") == UiState()
    for number in ("9" * 5000, "9" * 400, "1e999", "NaN"):
        (tmp_path / "state.json").write_text(f'{{"cfg_scale": {number}, "steps": 9}}')
        assert load_state(tmp_path / "state.json") == UiState(steps=9)


async def test_keys_that_are_typed_ahead_go_to_the_fields_that_they_are_meant_for(start):
    async with start(80, 24) as driver:
        await driver.load()
        for key in ("o", "9", *["tab"] * 3, "4", "enter"):
            driver.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await driver.until(lambda: driver.app.control.state.steps == 9)
        assert driver.app.control.state.cfg_scale == 4


async def test_a_sampler_is_chosen_by_letters(start):
    async with start(80, 24) as driver:
        await driver.load()
        for key in ("o", "tab", *"ddim", "enter", "tab", *"sim", "enter", "ctrl+s"):
            driver.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await driver.until(lambda: driver.app.control.state.sampler == "DDIM")
        assert driver.app.control.state.schedule == "Simple"


async def test_every_field_is_reached_by_keys_on_a_small_screen(start, session, tmp_path):
    picture = tmp_path / "fox.png"
    Image.new("RGB", (64, 64)).save(picture)
    async with start(80, 24) as driver:
        await driver.load()
        await driver.press("p", *"fox", "enter", "o")
        screen = driver.app.screen
        seen = []
        for _ in range(len(screen.query("Input, Select"))):
            field = driver.app.focused
            assert field is not None
            seen.append(field.id)
            await driver.until(lambda field=field: 0 < field.region.y < 22)
            assert field.region.height == 1
            await driver.press("tab")
        assert len(set(seen)) == len(seen)
        assert driver.app.focused.id == "steps"
        await driver.press("pagedown")
        assert driver.app.focused.id == "sizes"
        await driver.press("pagedown", "pagedown")
        assert driver.app.focused.id == "start_picture"
        assert "I takes the picture that is shown" in driver.text
        await driver.press(*str(picture), "tab", "ctrl+u", *"0.4", "enter")
        await driver.press("g")
        assert session.sent(Draw)[0].request.start == StartPicture(picture, 0.4)


async def test_a_size_is_chosen_or_named(start, session):
    async with start() as driver:
        await driver.load(structs.replace(MODEL, default_size=512))
        await driver.press("o")
        driver.app.screen.query_one("#sizes", Select).value = "416x608"
        await driver.pilot.pause()
        size = driver.app.screen.query_one("#size", Input)
        assert size.value == "416x608"
        size.value = "Landscape"
        await driver.press("ctrl+s")
        state = driver.app.control.state
        assert (state.width, state.height) == (608, 416)
        await driver.press("o")
        driver.app.screen.query_one("#size", Input).value = "3:4"
        await driver.press("ctrl+s")
        assert "square, landscape, portrait" in driver.text


def _texts(state: UiState, **changed: str) -> dict[str, str]:
    texts = {name: str(value) for name, value in structs.asdict(state).items()}
    return {**texts, "size": "auto", **changed}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"denoising": "much"}, "must be a number"),
        ({"start_picture": "/no/such.png"}, "no file /no/such.png"),
        ({"mask": "/a.png"}, "lies over the picture"),
        ({"region_masks": "/no/1.png; /no/2.png"}, "no file /no/1.png"),
        ({"hires_scale": "9"}, "enlarges 1 to 8 times"),
        ({"hires_steps": "x"}, "whole number"),
        ({"variation_strength": "2"}, "variation strength"),
    ],
)
def test_what_cannot_be_is_said(changed: dict[str, str], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        read_form(_texts(UiState(prompt="a"), **changed), UiState(prompt="a"))
