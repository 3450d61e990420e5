"""The help: keys by subject, and those that have some words."""

from __future__ import annotations

from tui_loraswitch.look.keys import APP_BINDINGS
from tui_loraswitch.look.subjects import _SUBJECTS, SUBJECTS, subject_of
from tui_loraswitch.screens.framed import Framed, fitting
from tui_loraswitch.screens.help import HelpScreen


def test_each_key_is_about_one_subject() -> None:
    ids = {binding.id for binding in APP_BINDINGS}
    assert set(_SUBJECTS) <= ids, "no subject has a key that is not there"
    assert {subject_of(id) for id in ids} == set(SUBJECTS) - {""}


async def test_words_find_keys_and_escape_shows_all_again(start) -> None:
    async with start(80, 24) as driver:
        await driver.press("question_mark")
        await driver.sees("Switch to the highlighted LoRA", "Drawing", "Draw a picture with this")
        await driver.press("slash", *"hires")
        await driver.sees("hires fix")
        assert "Draw a picture with this" not in driver.text
        await driver.press("enter", "slash", *" xyz")
        await driver.sees("Nothing has these words")
        await driver.press("escape")
        await driver.sees("Draw a picture with this")
        await driver.press("escape")
        await driver.until(lambda: driver.app.screen is driver.app.main)


async def test_the_first_frame_has_the_keys_and_another_width_wraps_them_anew(
    start, monkeypatch
) -> None:
    with monkeypatch.context() as before_its_size_is_known:
        before_its_size_is_known.setattr(HelpScreen, "on_resize", lambda self: None)
        async with start(80, 24) as driver:
            await driver.press("question_mark")
            await driver.sees("Switch to the highlighted LoRA alone; open or close a  ")
    async with start(80, 24) as driver:
        await driver.press("question_mark")
        await driver.sees("Switch to the highlighted LoRA alone; open or close a  ")
        await driver.pilot.resize_terminal(50, 24)
        await driver.sees("Switch to the highlighted  ")


def test_a_frame_keeps_the_last_of_its_keys() -> None:
    keys = "PgDn next section · Enter applies · Escape cancels"
    assert Framed(keys).border_subtitle == keys, "before its width is known"
    assert fitting(keys, 50) == keys
    assert fitting(keys, 49) == "Enter applies · Escape cancels"
    assert fitting(keys, 3) == "Escape cancels"
