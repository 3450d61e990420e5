"""The library's folders are followed, and read again on a key."""

from __future__ import annotations

import os

from engine.protocol.events import CommandFailed
from tests.tui.conftest import write_lora


async def test_new_changed_and_removed_files_are_shown_and_said(start, loras) -> None:
    async with start() as driver:
        await driver.load()
        await driver.highlight("ink")
        write_lora(loras / "styles/brand_new.safetensors")
        write_lora(loras / "styles/neon.safetensors", trigger="changed words")
        (loras / "aya.safetensors").unlink()
        await driver.sees("brand_new")
        await driver.until(lambda: "aya" not in driver.text)
        await driver.highlight("neon")
        await driver.sees("changed words")
        assert any(line.startswith("library: 1 new") for line in driver.log)
        await driver.highlight("ink")
        assert driver.list.highlighted.name == "ink", "the cursor stays"
        await driver.press("R")
        await driver.until(lambda: driver.log[-1] == "library read again: nothing changed")


async def test_a_file_that_was_replaced_is_no_longer_marked_as_refused(start, loras):
    async with start() as driver:
        await driver.load()
        await driver.highlight("ink")
        await driver.press("enter")
        path = loras / "styles/ink.safetensors"
        modified = path.stat().st_mtime_ns
        failed = CommandFailed("switch", "No fit.", refused=True, path=path, modified=modified)
        await driver.emit(failed)
        await driver.sees("! ink", "refused")
        await driver.press("R")
        await driver.until(lambda: driver.log[-1].endswith("nothing changed"))
        assert "refused" in driver.text, "it is the same file"
        write_lora(path, trigger="better")
        os.utime(path, ns=(modified, modified - 10**9))
        await driver.sees("○ ink")
        assert "refused" not in driver.text


async def test_one_reading_at_a_time(start) -> None:
    async with start() as driver:
        library = driver.app.services._library
        library._scanning.set()
        await driver.press("R")
        assert driver.toasts[-1] == "The library is being read."
