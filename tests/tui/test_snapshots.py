"""The main states at six sizes in dark and light, as they were looked at.

Each snapshot is what a terminal gets: `cat tests/tui/snapshots/80x24-ink.ans` shows it. After a
change that is meant, `LORASWITCH_SNAPSHOTS=write pytest tests/tui/test_snapshots.py` makes them
anew.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest
from rich.console import Console

from engine.monitor.reading import Reading
from tests.tui.test_events import saved

FOLDER = Path(__file__).with_name("snapshots")
SIZES = ((40, 10), (60, 15), (80, 24), (100, 30), (120, 36), (200, 50))
THEMES = ("ink", "textual-light")
STATES = {
    "main": (),
    "help": ("question_mark",),
    "settings": ("o",),
    "sweep": ("W",),
    "blocks": ("4", "w"),
    "interrupt": ("ctrl+c",),
}
"""The keys that lead there."""
_TIME = re.compile(r"\d\d:\d\d:\d\d")


def drawn(driver) -> str:
    """The screen with its colours."""
    width, height = driver.app.size
    out = io.StringIO()
    console = Console(file=out, color_system="truecolor", force_terminal=True, width=width,
                      legacy_windows=False)  # fmt: skip
    for strip in driver.app.screen._compositor.render_strips()[:height]:
        out.write(strip.crop(0, width).render(console) + "\n")
    return _TIME.sub("00:00:00", out.getvalue())


@pytest.mark.parametrize("state", STATES)
async def test_the_screen_is_as_it_was_looked_at(start, session, tmp_path, monkeypatch, state):
    monkeypatch.setattr("tui_loraswitch.app.sweep_keys.find_spec", lambda name: name)
    async with start(120, 36) as driver:
        await driver.load()
        driver.app.main.gauges.show_reading(Reading(0.0, 9 << 30, 24 << 30, 1 << 30))
        await driver.switch_to("neon")
        await driver.press("p", *"a fox in a neon city", "enter")
        await driver.emit(await saved(driver, tmp_path, "00042", (90, 60, 160)))
        await driver.highlight("ink")
        await driver.press(*STATES[state])
        seen: dict[str, str] = {}
        for width, height in SIZES:
            await driver.pilot.resize_terminal(width, height)
            for theme in THEMES:
                driver.app.theme = theme
                for _ in range(3):
                    await driver.pilot.pause()
                await driver.until(lambda: not any(
                    worker.group in ("picture", "details-picture") and worker.is_running
                    for worker in driver.app.workers
                ))  # fmt: skip
                await driver.pilot.pause()
                seen[f"{state}-{width}x{height}-{theme}"] = drawn(driver)
        if os.environ.get("LORASWITCH_SNAPSHOTS") == "write":
            FOLDER.mkdir(exist_ok=True)
            for name, screen in seen.items():
                (FOLDER / f"{name}.ans").write_text(screen, encoding="utf-8")
        different = [
            name
            for name, screen in seen.items()
            if (FOLDER / f"{name}.ans").read_text(encoding="utf-8") != screen
        ]
        assert different == [], "look at them, then write them anew (see above)"
