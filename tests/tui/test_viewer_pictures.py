"""The gallery's viewer in terminals with a protocol: the bytes that reach them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from PIL import Image
from textual.app import App, ComposeResult

from tests.tui.test_kitty_pictures import COMMAND, Outside
from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.kitty import PLACEHOLDER
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.panes.picture_area import PictureArea

PROGRAM = Path(__file__).with_name("show_viewer.py")
RED, BLUE = (250, 10, 80), (10, 80, 250)
SIXEL = re.compile(rb"\x1b\[\d+;(\d+)H\x1bP0;1;0q[^#]*#0;2;(\d+);\d+;(\d+)[^\x1b]*\x1b\\\x1b8")
"""The column, and the red and blue of its only colour in percent."""
CELL = re.compile(f"{PLACEHOLDER}(.)(.)(.)")


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """A red one and a blue one."""
    paths = [tmp_path / "red.png", tmp_path / "blue.png"]
    for path, colour in zip(paths, (RED, BLUE), strict=True):
        Image.new("RGB", (40, 40), colour).save(path)
    return list(map(str, paths))


def test_kitty_has_both_pictures_and_a_flip_sends_only_cells(pictures):
    outside = Outside(
        [sys.executable, str(PROGRAM), *pictures],
        {"PYTHONPATH": str(PROGRAM.parents[2]), "TMUX": "", "COLORTERM": "truecolor"},
    )

    def numbers() -> list[int]:
        sent = COMMAND.findall(outside.sent.decode("utf-8", "replace"))
        keys = [dict(key.split("=") for key in keys.split(",")) for keys, _ in sent]
        return [int(one["i"]) for one in keys if one.get("a") == "T"]

    def first_cell() -> str:
        """The last first cell that came."""
        text = outside.sent.decode("utf-8", "replace")
        return [cell[0] for cell in CELL.finditer(text) if cell[1] == cell[2] == "\u0305"][-1]

    try:
        outside.until(PLACEHOLDER.encode(), times=200)
        red = first_cell()
        outside.press(b" ")
        outside.until(b"a=T", times=2)
        outside.until(b"blue.png", times=1)
        blue = first_cell()
        assert blue != red
        # It may be painted more than once.
        before, reds = len(outside.sent), outside.sent.count(red.encode())
        outside.press(b" ")
        outside.until(red.encode(), times=reds + 1)
        assert len(outside.sent) - before < 40_000, "cells"
        outside.press(b"D")
        outside.until(b"a dialog")
        reds = outside.sent.count(red.encode())
        outside.press(b"b")
        outside.until(red.encode(), times=reds + 1)
        assert len(set(numbers())) == len(numbers()) == 2
        colours = {f"38;5;{number & 0xFF}" for number in numbers()}
        assert all(colour.encode() in outside.sent for colour in colours)
        outside.press(b"q")
        outside.until(b"a=d,d=I", times=2)
    finally:
        outside.close()


def test_sixel_shows_one_both_side_by_side_and_none_over_a_dialog(pictures):
    outside = Outside(
        [sys.executable, str(PROGRAM), *pictures],
        {"PYTHONPATH": str(PROGRAM.parents[2]), "TMUX": ""},
        b"foot(1.16)",
        b"62;4",
    )

    def shown() -> list[tuple[int, str]]:
        """The column and the colour of each picture that came."""
        found = SIXEL.findall(outside.sent)
        return [(int(at), "red" if int(r) > int(b) else "blue") for at, r, b in found]

    try:
        outside.until(b"\x1b8")
        outside.press(b" ")
        outside.until(b"\x1b8", times=2)
        outside.press(b"c")
        outside.until(b"\x1b8", times=4)
        before = len(shown())
        outside.press(b"D")
        outside.until(b"a dialog")
        assert len(shown()) == before, "none over the dialog"
        outside.press(b"b")
        outside.until(b"\x1b8", times=before + 2)
    finally:
        outside.close()
    (_, first), (_, flipped), *_, (left, own), (right, other) = shown()
    assert (first, flipped, own, other) == ("red", "blue", "red", "blue")
    assert left < 40 <= right
    assert not re.search("[\U0010fff0-\U0010fffd]", outside.sent.decode("utf-8", "replace"))


class Room(App[None]):
    def compose(self) -> ComposeResult:
        yield PictureArea(TerminalImages("kitty"), PictureBudget(), keeps=2, id="area")


async def test_what_a_terminal_holds_is_not_sent_again_and_is_deleted_at_the_end(monkeypatch):
    async with Room().run_test(size=(40, 12)) as pilot:
        area, sent = pilot.app.query_one(PictureArea), []
        monkeypatch.setattr(pilot.app._driver, "write", sent.append)
        one, other, third = [
            await _fitted(area, colour) for colour in (b"\0\0\0", b"\1\1\1", b"\2\2\2")
        ]
        for picture, count in ((other, 3), (one, 4), (third, 5), (other, 5)):
            area.show(picture)
            assert len(sent) == count
        await area.send_again()
        assert len(sent) == 6
        await area.remove()
    deleted = [data for data in sent if "a=d" in data]
    assert len(set(deleted)) == 2


async def _fitted(area, colour):
    fitted = await area.fitted(lambda: (8, 8, colour * 64))
    area.show(fitted)
    return fitted
