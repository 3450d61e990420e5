"""Kitty's pictures: the bytes that a terminal gets, plain and around a real tmux."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from io import BytesIO
from pathlib import Path
from unicodedata import combining, decomposition

import pytest
from PIL import Image

from tui_loraswitch.images import kitty, tmux
from tui_loraswitch.images.kitty import PLACEHOLDER, PictureNumber
from tui_loraswitch.images.kitty_picture import KittyPicture
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.images.tmux import Tmux

NUMBER = PictureNumber(1234)
PROGRAM = Path(__file__).with_name("show_picture.py")
CELLS = 20 * 10
"""Of the picture in that program."""
COMMAND = re.compile(r"\x1b_G([^;\x1b]*);?([^\x1b]*)\x1b\\")


def picture_of(stream: str) -> tuple[dict[str, str], bytes]:
    """The keys and the data of a picture, as a terminal puts it together."""
    commands = [(dict(k.split("=") for k in keys.split(",")), data)
                for keys, data in COMMAND.findall(stream)]  # fmt: skip
    sending = [(keys, data) for keys, data in commands if keys.get("a", "T") == "T"]
    assert [keys["m"] for keys, _ in sending] == ["1"] * (len(sending) - 1) + ["0"]
    return sending[0][0], base64.b64decode("".join(data for _, data in sending))


def test_diacritics_are_those_of_the_document():
    """Those of its list that may stand for numbers: above their letter, never one with it."""
    marks = kitty._marks()
    assert len(set(marks)) == kitty.MOST_CELLS
    assert all(combining(mark) == 230 and not decomposition(mark) for mark in marks)
    digest = hashlib.sha256("".join(marks).encode()).hexdigest()
    assert digest == "5e5fb029e3fe73fb7f0cfc088d820ba3db79719b65a4c8da087be5fb4cd99d1e"


def test_a_picture_is_sent_in_pieces_and_deleted_by_its_number():
    data = os.urandom(10_000)
    keys, received = picture_of(kitty.sent(data, NUMBER, 30, 10, in_tmux=False))
    assert received == data
    assert (keys["a"], keys["U"], keys["c"], keys["r"]) == ("T", "1", "30", "10")
    assert int(keys["i"]) == int(NUMBER) < 2**32
    assert int(NUMBER) & 0xFF == NUMBER.colour
    assert f"i={int(NUMBER)}" in kitty.deleted(NUMBER, in_tmux=False)


def test_tmux_gets_it_wrapped():
    for whole in (
        kitty.sent(b"x" * 9000, NUMBER, 1, 1, in_tmux=True),
        kitty.deleted(NUMBER, in_tmux=True),
    ):
        parts = re.findall(r"\x1bPtmux;((?:\x1b\x1b|[^\x1b])*)\x1b\\", whole)
        plain = "".join(parts).replace("\x1b\x1b", "\x1b")
        assert "".join(f"\x1bPtmux;{part}\x1b\\" for part in parts) == whole
        assert COMMAND.sub("", plain) == ""


async def test_the_picture_pane_shows_placeholders_where_the_terminal_has_them(
    start, session, tmp_path, monkeypatch
):
    """Another terminal that is attached to tmux may have none: Ctrl+L looks."""
    from tests.tui.test_events import saved

    images = TerminalImages("kitty", in_tmux=True, follows_tmux=True)
    async with start(images=images) as driver:
        await driver.load()
        await driver.emit(await saved(driver, tmp_path, "one", (200, 0, 0)))
        await driver.sees(PLACEHOLDER)
        rows = [line for line in driver.screen if PLACEHOLDER in line]
        marks = kitty._marks()
        for number, line in enumerate(rows):
            cells = re.findall(f"{PLACEHOLDER}(.)(.)(.)", line)
            assert [cell[0] for cell in cells] == [marks[number]] * len(cells)
            assert [cell[1] for cell in cells] == list(marks[: len(cells)])
        await driver.press("question_mark")
        await driver.press("escape")
        assert [line for line in driver.screen if PLACEHOLDER in line] == rows
        for terminal, has_placeholders in (("xterm-256color", False), ("xterm-kitty", True)):
            monkeypatch.setattr(tmux, "around", lambda name=terminal: Tmux("3.4", name, True))
            await driver.press("ctrl+l")
            await driver.until(lambda has=has_placeholders: (PLACEHOLDER in driver.text) is has)
            assert has_placeholders or "▀" in driver.text
            assert len(driver.app.main.picture.query(KittyPicture)) == has_placeholders
        shown, sent = driver.app.main.picture.query_one(KittyPicture), []
        monkeypatch.setattr(driver.app._driver, "write", sent.append)
        driver.app.app_focus = False
        shown.send_again()
        for is_seen in (True, False, True):
            driver.app.app_focus = is_seen
            await driver.pilot.pause()
        assert len(sent) == 2, "once unseen, once when the window was seen again"


class Outside:
    """A terminal on a pseudo-terminal, kitty as it says; what it is sent is kept."""

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str],
        name: bytes = b"kitty(0.35.2)",
        attributes: bytes = b"62;",
        size: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> None:
        """`size` is what the kernel is told: rows, columns, and pixels of both."""
        self._name, self._attributes = name, attributes
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size))
        self.sent = b""
        self._process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environment},
        )  # fmt: skip
        os.close(slave)

    def until(self, wanted: bytes, times: int = 1, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while self.sent.count(wanted) < times:
            left = end - time.monotonic()
            assert left > 0, self.sent[-2000:]
            if select.select([self._master], [], [], left)[0]:
                self._take()

    def _take(self) -> None:
        try:
            new = os.read(self._master, 65536)
        except OSError:  # the program has ended
            return
        self.sent += new
        if b"\x1b[>q" in new:
            os.write(self._master, b"\x1bP>|%s\x1b\\" % self._name)
        if b"\x1b[c" in new:
            os.write(self._master, b"\x1b[?%sc" % self._attributes)

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
@pytest.mark.parametrize(
    ("is_plain", "colours", "seed"),
    [(False, "", 44), (True, "", 43), (True, "truecolor", 43)],
    ids=["in tmux", "plain", "plain, all colours"],
)
def test_the_bytes_that_reach_the_terminal(tmp_path, is_plain, colours, seed):
    """The picture's data, placeholders in its colour, and at the end that it is to be forgotten.

    The colour of seed 43 is a grey, which Textual likes to write as another grey. tmux drops what
    comes while it redraws a window, as it does at the end.
    """
    picture = tmp_path / "picture.png"
    Image.new("RGB", (40, 40), (250, 10, 80)).save(picture)
    program = [sys.executable, str(PROGRAM), str(picture), str(seed)]
    config = tmp_path / "tmux.conf"
    config.write_text("set -g allow-passthrough on\nset -g default-terminal tmux-256color\n")
    inside = ["tmux", "-S", str(tmp_path / "socket"), "-f", str(config), "new-session"]
    outside = Outside(
        program if is_plain else [*inside, *program],
        {"PYTHONPATH": str(PROGRAM.parents[2]), "TMUX": "", "COLORTERM": colours},
    )
    try:
        outside.until(PLACEHOLDER.encode(), times=CELLS)
        if is_plain:
            outside.press(b"q")
            outside.until(b"a=d,d=I")
    finally:
        outside.close()
        subprocess.run([*inside[:3], "kill-server"], check=False, capture_output=True)
    keys, data = picture_of(outside.sent.decode("utf-8", "replace"))
    assert Image.open(BytesIO(data)).getpixel((3, 3)) == (250, 10, 80)
    number = int(keys["i"])
    colour = f"38;5;{number & 0xFF}".encode()
    first = outside.sent.index(PLACEHOLDER.encode())
    before = outside.sent[:first][-40:]
    assert colour in before, before
    assert int(keys["c"]) * int(keys["r"]) == CELLS
    assert b"Ptmux" not in outside.sent, "tmux has taken its wrapping off"
    assert is_plain or b"Gi=31" not in outside.sent, "nor is the question its window's title"
