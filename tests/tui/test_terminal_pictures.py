"""Which protocol a terminal gets, and what Sixel's and iTerm2's pictures are made of."""

from __future__ import annotations

import base64
import re
import sys
from functools import partial
from io import BytesIO
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.tui.test_kitty_pictures import PROGRAM, Outside
from tui_loraswitch.images import tmux
from tui_loraswitch.images.iterm2 import inline
from tui_loraswitch.images.sixel import sixel
from tui_loraswitch.images.terminal import TerminalImages, parse_answers, settled
from tui_loraswitch.images.tmux import Tmux

INLINE = re.compile(rb"\x1b7\x1b\[(\d+);(\d+)H\x1b\]1337;File=([^:]*):([\w+/=]*)\x07\x1b8")
KITTY = b"\x1b_Gi=31;OK\x1b\\"
NEW_KITTY, OLD_KITTY = b"\x1bP>|kitty(0.28.1)\x1b\\", b"\x1bP>|kitty(0.26.5)\x1b\\"
PLAIN, SIXEL = b"\x1b[?62;c", b"\x1b[?62;4;6c"
ITERM, WEZTERM = b"\x1bP>|iTerm2 3.5.4\x1b\\", b"\x1bP>|WezTerm 20240203-110809\x1b\\"
XTERM_JS = b"\x1bP>|xterm.js(5.6.0)\x1b\\"
IN_TMUX = b"\x1bP>|tmux 3.4\x1b\\"


@pytest.mark.parametrize(
    ("answers", "environment", "expected"),
    [
        (KITTY + b"\x1b[6;20;10t" + NEW_KITTY + PLAIN, {}, TerminalImages("kitty", 10, 20)),
        # Its placeholders would be boxes there.
        (KITTY + OLD_KITTY + PLAIN, {"TERM": "xterm-kitty"}, TerminalImages("halfcell")),
        (KITTY + PLAIN, {"TERM": "xterm-ghostty"}, TerminalImages("kitty")),
        (KITTY + PLAIN, {"TERM": "xterm-256color"}, TerminalImages("halfcell")),
        (b"\x1b[6;18;9t" + SIXEL, {}, TerminalImages("sixel", 9, 18)),
        (KITTY + b"\x1b[?65;4;6;18;22c", {}, TerminalImages("sixel")),
        (b"\x1b[?1;2c", {}, TerminalImages("halfcell")),
        (b"\x1b[6;0;0t\x1b[?64;14c", {}, TerminalImages("halfcell")),
        (b"", {}, TerminalImages("halfcell")),
        (b"typed\x1b[?62;4c", {}, TerminalImages("sixel")),
        (KITTY + ITERM + SIXEL, {}, TerminalImages("iterm2")),
        (KITTY + WEZTERM + SIXEL, {}, TerminalImages("iterm2")),
        (XTERM_JS + SIXEL, {}, TerminalImages("iterm2")),
        (XTERM_JS + PLAIN, {"TERM_PROGRAM": "vscode"}, TerminalImages("halfcell")),
        (PLAIN, {"TERM_PROGRAM": "iTerm.app"}, TerminalImages("iterm2")),
        (SIXEL, {"LC_TERMINAL": "iTerm2"}, TerminalImages("iterm2")),
        # As mosh answers, which drops what it does not know.
        (PLAIN, {"LC_TERMINAL": "iTerm2"}, TerminalImages("halfcell")),
        (SIXEL, {"LC_TERMINAL": "iTerm2", "TERM": "screen-256color"}, TerminalImages("sixel")),
        (IN_TMUX + SIXEL, {"TERM_PROGRAM": "iTerm.app"}, TerminalImages("sixel")),
    ],
)
def test_the_terminals_answers_are_understood(answers, environment, expected):
    assert parse_answers(answers, environment) == expected


followed = partial(TerminalImages, follows_tmux=True)
IN_KITTY = Tmux("3.4", "kitty(0.35)", passes_through=True)
IN_FOOT = Tmux("3.4", "foot(1.16)", passes_through=True, shows_sixel=True)
IN_ITERM = Tmux("3.4", "iTerm2 3.5", passes_through=True)


@pytest.mark.parametrize(
    ("setting", "answers", "around", "environment", "expected"),
    [
        ("auto", IN_TMUX + SIXEL, IN_KITTY, {}, followed("kitty", in_tmux=True)),
        ("auto", IN_TMUX + SIXEL, IN_FOOT, {}, followed("sixel")),
        ("auto", IN_TMUX + SIXEL, IN_ITERM, {}, followed("halfcell")),
        ("auto", PLAIN, IN_ITERM, {"TERM_PROGRAM": "iTerm.app"}, followed("halfcell")),
        ("iterm2", PLAIN, None, {}, TerminalImages("iterm2")),
        ("kitty", PLAIN, None, {}, TerminalImages("kitty")),
        ("kitty", KITTY + NEW_KITTY + PLAIN, None, {"NO_COLOR": "1"}, TerminalImages("halfcell")),
        ("auto", KITTY + NEW_KITTY + PLAIN, None, {"NO_COLOR": ""}, TerminalImages("halfcell")),
        ("auto", SIXEL, None, {"NO_COLOR": "1"}, TerminalImages("sixel")),
    ],
)
def test_tmux_and_the_lack_of_colours_count(setting, answers, around, environment, expected):
    assert settled(setting, answers, around, environment) == expected


@pytest.mark.parametrize(
    ("answer", "carries", "has_sixel"),
    [
        ("3.3a\x1fkitty(0.35.2)\x1fxterm-kitty\x1f1\x1f256,RGB\x1f1", True, False),
        ("3.4\x1fkitty(0.26.5)\x1fxterm-kitty\x1f1\x1f256,RGB\x1f1", False, False),
        ("3.4\x1fkitty(0.41.1)\x1fxterm-kitty\x1f1\x1f256,RGB\x1f0", False, False),
        ("3.4\x1f\x1fxterm-ghostty\x1fall\x1f\x1f1", True, False),
        ("3.5\x1fkitty(0.35.2)\x1fxterm-kitty\x1f0\x1f\x1f1", False, False),
        ("3.2\x1f\x1fxterm-kitty\x1f\x1f\x1f1", False, False),
        ("3.4\x1fXTerm(390)\x1fxterm-256color\x1fon\x1fRGB,sixel,title\x1f1", False, True),
        ("next-3.6\x1fkitty(0.40.0)\x1fxterm-kitty\x1fon\x1f\x1f1", True, False),
    ],
)
def test_what_tmux_says_is_understood(answer, carries, has_sixel):
    found = tmux.read_answer(answer + "\n")
    assert isinstance(found, Tmux)
    assert (found.carries_kitty, found.shows_sixel) == (carries, has_sixel)
    assert tmux.read_answer("lost server\n") is None


def seen(sequence: str) -> Image.Image:
    """A picture as a terminal puts it together, pixel by pixel."""
    size, body = re.fullmatch(r'\x1bP0;1;0q"1;1;(\d+;\d+)(.*)\x1b\\', sequence).groups()
    image = Image.new("RGB", tuple(map(int, size.split(";"))))
    colours: dict[int, tuple[int, ...]] = {}
    colour = top = 0
    row: list[int] = []
    for number, levels, times, bits, move in re.findall(
        r"#(\d+)((?:;\d+)*)|(?:!(\d+))?([?-~])|([$-])", body
    ):
        if number:
            colour = int(number)
            if levels:
                red, green, blue = map(int, levels.split(";")[2:])
                colours[colour] = tuple(round(level * 2.55) for level in (red, green, blue))
        elif move:
            row, top = [], top + 6 * (move == "-")
        else:
            row += [ord(bits) - ord("?")] * int(times or 1)
            start = len(row) - int(times or 1)
            for x, y in product(range(start, len(row)), range(6)):
                if row[x] >> y & 1:
                    image.putpixel((x, top + y), colours[colour])
    return image


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(1, 20), st.randoms(use_true_random=False))
def test_a_sixel_picture_is_the_picture(width, height, random):
    """Sixel's levels are percents: at most half of one off."""
    few = [tuple(random.randbytes(3)) for _ in range(4)]
    image = Image.new("RGB", (width, height))
    image.putdata([random.choice(few) for _ in range(width * height)])
    shown = seen(sixel(image))
    assert shown.size == image.size
    off = max(abs(a - b) for a, b in zip(shown.tobytes(), image.tobytes(), strict=True))
    assert off <= 2


def test_a_photograph_by_sixel_is_near_to_it():
    image = Image.linear_gradient("L").resize((64, 30)).convert("RGB")
    shown = seen(sixel(image))
    off = [abs(a - b) for a, b in zip(shown.tobytes(), image.tobytes(), strict=True)]
    assert sum(off) / len(off) < 5


def test_an_inline_picture_names_its_cells():
    data = bytes(range(256))
    keys, _, coded = inline(data, 30, 12)[len("\x1b]1337;File=") : -1].partition(":")
    assert base64.b64decode(coded) == data
    assert {"inline=1", "size=256", "width=30", "height=12"} <= set(keys.split(";"))


def test_a_cell_has_the_size_that_the_kernel_knows_where_the_terminal_tells_none(tmp_path):
    picture = tmp_path / "picture.png"
    Image.new("RGB", (40, 40), (250, 10, 80)).save(picture)
    outside = Outside(
        [sys.executable, str(PROGRAM), str(picture), "1"],
        {"PYTHONPATH": str(PROGRAM.parents[2]), "TMUX": ""},
        b"XTerm(379)",
        b"62;4;6",
        (24, 80, 640, 408),
    )
    try:
        # 20 × 10 cells of 8 × 17 pixels.
        outside.until(b'"1;1;160;')
    finally:
        outside.close()


def test_a_terminal_that_is_iterm2_gets_its_picture_again_when_something_was_over_it(tmp_path):
    picture = tmp_path / "picture.png"
    Image.new("RGB", (40, 40), (250, 10, 80)).save(picture)
    outside = Outside(
        [sys.executable, str(PROGRAM), str(picture), "1"],
        {"PYTHONPATH": str(PROGRAM.parents[2]), "TMUX": ""},
        b"iTerm2 3.5.4",
    )
    try:
        outside.until(b"\x07\x1b8")
        outside.press(b"d")
        outside.until(b"a dialog")
        before = len(INLINE.findall(outside.sent))
        outside.press(b"b")
        outside.until(b"\x07\x1b8", times=before + 1)
        back = len(INLINE.findall(outside.sent))
        outside.press(b"s")
        outside.until(b"\x07\x1b8", times=back + 1)
    finally:
        outside.close()
    found = INLINE.findall(outside.sent)
    assert "\U0010fffd".encode() not in outside.sent
    for row, column, keys, data in found:
        assert (row, column) == (b"1", b"1")
        assert b"width=20;height=10" in keys
        assert Image.open(BytesIO(base64.b64decode(data))).getpixel((3, 3)) == (250, 10, 80)
    over = outside.sent.index(b"a dialog")
    assert len(INLINE.findall(outside.sent[:over])) == before, "none over the dialog"
