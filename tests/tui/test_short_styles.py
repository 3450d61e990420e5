"""The screen is the same with shortened styles; a small terminal here reads both."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tui_loraswitch.app.short_styles import ShortStyles

ATTRIBUTES = ["1", "2", "3", "4", "5", "7", "9", "53", "21"]
OFF = {"22": "12", "23": "3", "24": ("4", "21"), "25": "5", "27": "7", "29": "9", "55": ("53",)}


def shown(stream: str) -> list[tuple[str, frozenset[str], str]]:
    """Each character with the attributes and the colours that it has, as the standard says."""
    attributes: set[str] = set()
    colours = {"f": "", "b": ""}
    cells = []
    for piece in re.finditer(r"\x1b\[([0-9;]*)m|(\x1b\[[?0-9;]*[A-Za-z])|(.)", stream, re.DOTALL):
        codes, other, character = piece.groups()
        if codes is None:
            text = other or character
            if other and (other.endswith("H") or "2026" in other):
                cells.append((other, frozenset(), ""))
            else:
                cells.append((text, frozenset(attributes), colours["f"] + "/" + colours["b"]))
            continue
        words = codes.split(";") if codes else ["0"]
        while words:
            code = words.pop(0)
            if code == "0":
                attributes, colours = set(), {"f": "", "b": ""}
            elif code in ("38", "48"):
                count = 4 if words[0] == "2" else 2
                colours["f" if code == "38" else "b"] = ";".join(words[:count])
                words = words[count:]
            elif code in ("39", "49"):
                colours["f" if code == "39" else "b"] = ""
            elif code in OFF:
                attributes -= set(OFF[code])
            elif code in ATTRIBUTES:
                attributes.add(code)
            else:
                place = "f" if code[0] in "39" and len(code) == 2 else "b"
                colours[place] = code[-1] + ("!" if int(code) >= 90 else "")
    return cells


numbers = st.integers(0, 255).map(str)
colours = st.one_of(
    st.tuples(st.sampled_from(["38;5", "48;5"]), numbers).map(";".join),
    st.tuples(st.sampled_from(["38;2", "48;2"]), numbers, numbers, numbers).map(";".join),
    st.sampled_from(["31", "42", "97", "104", "39", "49"]),
)
codes = st.one_of(st.just("0"), colours, st.sampled_from([*ATTRIBUTES, *OFF]))
styles = st.lists(codes, max_size=5).map(lambda some: f"\x1b[{';'.join(some)}m")
texts = st.sampled_from(
    ["a", "xy ", "雪", "\x1b[3;4H", "\x1b[2J", "\x1b[?2026h", "\x1b[?25l", "\n"]
)


@given(st.lists(st.lists(st.one_of(styles, texts), max_size=12), max_size=5))
def test_every_character_has_the_style_it_had(writes):
    short = ShortStyles()
    before = "".join("".join(write) for write in writes)
    after = "".join(short.shortened("".join(write)) for write in writes)
    assert shown(after + "") == shown(before)
    assert len(after.encode()) <= len(before.encode()) + 4, "the first text says where it begins"


def test_a_background_is_named_once():
    short = ShortStyles()
    run = "\x1b[38;2;1;2;3;48;2;9;9;9ma\x1b[0m\x1b[38;2;4;5;6;48;2;9;9;9mb\x1b[0m"
    assert short.shortened(run) == "\x1b[0;38;2;1;2;3;48;2;9;9;9ma\x1b[38;2;4;5;6mb"
    assert short.shortened(run) == "\x1b[38;2;1;2;3ma\x1b[38;2;4;5;6mb"
    short.forget()
    assert short.shortened("\x1b[1mc") == "\x1b[0;1mc"
    assert short.shortened("\x1b[0m\x1b[?1049l") == "\x1b[0m\x1b[?1049l", "nothing stays behind"


def test_what_is_not_understood_passes_as_it_is_until_all_is_reset():
    short = ShortStyles()
    text = "\x1b[4:3ma\x1b[99mb\x1b[31mc\x1b[0;31md"
    assert short.shortened(text) == f"\x1b[0m{text}"
