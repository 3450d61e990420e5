"""Pictures in the desktop's viewer, where there is one."""

from __future__ import annotations

from pathlib import Path

from tests.tui.test_events import saved


async def test_a_picture_opens_in_the_desktops_viewer(start, tmp_path: Path, monkeypatch):
    opener = tmp_path / "bin" / "xdg-open"
    opener.parent.mkdir()
    seen = tmp_path / "opened"
    opener.write_text(f'#!/bin/sh\nprintf "%s" "$1" > "{seen}.new" && mv "{seen}.new" "{seen}"\n')
    opener.chmod(0o755)
    monkeypatch.setenv("PATH", str(opener.parent), prepend=":")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    async with start() as driver:
        await driver.load()
        await driver.press("1", "O")
        assert driver.toasts[-1] == "There is no picture yet."
        picture = await saved(driver, tmp_path, "one", (9, 9, 9))
        await driver.emit(picture)
        await driver.until(lambda: driver.app.main.picture._drawn)
        await driver.press("O")
        assert f"the picture is {picture.path}" in driver.toasts[-1]
        monkeypatch.setenv("DISPLAY", ":0")
        await driver.press("O")
        await driver.until(seen.exists)
        assert seen.read_text() == str(picture.path)
