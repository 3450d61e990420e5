"""The screen is the same with fewer bytes; a small terminal here reads both."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import get_character_cell_size
from textual.geometry import Region

from tui_loraswitch.app.changed_cells import ChangedCells
from tui_loraswitch.images.kitty import PictureNumber, cell

ATTRIBUTES = ["1", "2", "3", "4", "5", "7", "9", "53", "21"]
OFF = {"22": "12", "23": "3", "24": ("4", "21"), "25": "5", "27": "7", "29": "9", "55": ("53",)}
ON_BLANKS = {"4", "9", "53", "21"}
TOKEN = re.compile(
    r"\x1b\[(?P<codes>[0-9;]*)m|\x1b\[(?P<row>\d+);(?P<column>\d+)H|\x1b\[(?P<right>\d*)C"
    r"|(?P<clear>\x1b\[2J)|\x1b\[\?[0-9]*[hl]|\x1b\][^\x07]*\x07|(?P<character>.)",
    re.DOTALL,
)


class Screen:
    """Cells by row and column: what they show, as the standard says."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], object] = {}
        self.row = self.column = 1
        self._attributes: set[str] = set()
        self._colours = {"f": "", "b": ""}

    def read(self, stream: str) -> Screen:
        for token in TOKEN.finditer(stream):
            if token["codes"] is not None:
                self._style(token["codes"].split(";") if token["codes"] else ["0"])
            elif token["row"]:
                self.row, self.column = int(token["row"]), int(token["column"])
            elif token["right"] is not None:
                self.column += int(token["right"] or 1)
            elif token["clear"]:
                self.cells.clear()
            elif token["character"] == "\n":
                self.row += 1
            elif token["character"]:
                self._put(token["character"])
        return self

    def _put(self, character: str) -> None:
        look = (frozenset(self._attributes), *self._colours.values())
        if character == " " and "7" not in self._attributes:
            look = (frozenset(self._attributes & ON_BLANKS), self._colours["b"])
        width = get_character_cell_size(character)
        for count in range(width):
            self._wipe(self.row, self.column + count)
            self.cells[self.row, self.column + count] = (character, count, width, look)
        self.column += width

    def _wipe(self, row: int, column: int) -> None:
        """Half of a wide character takes the other half along."""
        found = self.cells.get((row, column))
        if found is not None:
            _, count, width, _ = found
            for place in range(column - count, column - count + width):
                self.cells.pop((row, place), None)

    def _style(self, words: list[str]) -> None:
        while words:
            code = words.pop(0)
            if code == "0":
                self._attributes, self._colours = set(), {"f": "", "b": ""}
            elif code in ("38", "48"):
                count = 4 if words[0] == "2" else 2
                self._colours["f" if code == "38" else "b"] = ";".join(words[:count])
                words = words[count:]
            elif code in ("39", "49"):
                self._colours["f" if code == "39" else "b"] = ""
            elif code in OFF:
                self._attributes -= set(OFF[code])
            elif code in ATTRIBUTES:
                self._attributes.add(code)
            else:
                place = "f" if code[0] in "39" and len(code) == 2 else "b"
                self._colours[place] = code[-1] + ("!" if int(code) >= 90 else "")


numbers = st.integers(0, 255).map(str)
colours = st.one_of(
    st.tuples(st.sampled_from(["38;5", "48;5"]), numbers).map(";".join),
    st.tuples(st.sampled_from(["38;2", "48;2"]), numbers, numbers, numbers).map(";".join),
    st.sampled_from(["31", "42", "97", "104", "39", "49"]),
)
codes = st.one_of(st.just("0"), colours, st.sampled_from([*ATTRIBUTES, *OFF]))
styles = st.lists(codes, max_size=5).map(lambda some: f"\x1b[{';'.join(some)}m")
moves = st.tuples(st.integers(1, 3), st.integers(1, 9)).map(lambda at: f"\x1b[{at[0]};{at[1]}H")
texts = st.sampled_from(
    ["a", "xy  z", "x", "     ", "  ", "─┐", "雪", "a雪b", "\x1b[2J", "\x1b[?2026h", "\x1b[?25l",
     "\n", "\x1b]22;default\x07"]
)  # fmt: skip
frames = st.lists(st.one_of(styles, moves, texts), max_size=14).map("".join)


@given(st.lists(st.tuples(frames, st.booleans()), max_size=6))
def test_the_screen_is_the_same_after_every_frame(written):
    short, before, after = ChangedCells(), Screen(), Screen()
    for frame, keeps_cursor in written:
        text = short.shortened("\x1b[1;1H" + frame, keeps_cursor)
        assert before.read("\x1b[1;1H" + frame).cells == after.read(text).cells
        if keeps_cursor and not frame.endswith("\n"):
            assert (before.row, before.column) == (after.row, after.column)


@given(frames, frames)
def test_after_another_program_wrote_there_all_is_written_anew(one, other):
    short = ChangedCells()
    short.shortened("\x1b[1;1H" + one)
    short.forget()
    text = "\x1b[0m\x1b[1;1H" + other
    assert Screen().read(short.shortened(text)).cells == Screen().read(text).cells


def test_only_cells_that_differ_are_written():
    short = ChangedCells()
    line = "\x1b[3;1H\x1b[38;5;7;48;5;16mRAM ███── 5.{}/24 GiB   \x1b[0m\n\x1b[4;1Hx"
    short.shortened(line.format(1))
    assert short.shortened(line.format(1)) == ""
    assert short.shortened(line.format(2)) == "\x1b[3;13H\x1b[48;5;16;38;5;7m2"
    assert short.shortened("\x1b[3;1H\x1b[48;5;16mR") == "\x1b[3;1H\x1b[39mR"


def test_what_a_picture_was_painted_over_is_written_again():
    short = ChangedCells()
    text = "\x1b[1;1Habcd\x1b[2;1Hefgh"
    short.shortened(text)
    short.forget_part(Region(1, 1, 2, 5))
    assert short.shortened(text) == "\x1b[2;2Hfg"


def test_a_background_is_named_once():
    short = ChangedCells()
    run = "\x1b[1;1H\x1b[38;2;1;2;3;48;2;9;9;9ma\x1b[0m\x1b[38;2;4;5;6;48;2;9;9;9mb\x1b[0m"
    assert short.shortened(run) == "\x1b[1;1H\x1b[0;48;2;9;9;9;38;2;1;2;3ma\x1b[38;2;4;5;6mb"
    assert short.shortened(run) == ""
    short.forget()
    assert short.shortened("\x1b[1;1H\x1b[1mc") == "\x1b[1;1H\x1b[0;1mc"
    assert short.shortened("\x1b[0m\x1b[?1049l").endswith("\x1b[0m\x1b[?1049l"), "nothing stays"


def test_what_is_not_understood_passes_as_it_is_until_all_is_reset():
    text = "\x1b[4:3ma\x1b[99mb\x1b[31mc\x1b[0;31md"
    assert ChangedCells().shortened("\x1b[1;1H" + text) == (
        "\x1b[0m\x1b[4:3m\x1b[1;1Ha\x1b[99mb\x1b[31mc\x1b[0;31md"
    )


def test_a_picture_passes_as_it_is():
    short = ChangedCells()
    data = "\x1b_Ga=T,i=7;QUJD\x1b\\"
    wrapped = "\x1bPtmux;" + data.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    short.shortened("\x1b[1;1Hab")
    assert short.shortened(data + wrapped) == data + wrapped
    assert short.shortened("\x1b[1;1Hab") == ""


def test_cells_of_a_picture_follow_one_another_without_moves():
    number = PictureNumber(7)
    cells = [cell(0, column, number) for column in range(3)]
    row = "".join(f"\x1b[38;5;9m{text}\x1b[0m" for text in cells)
    text = ChangedCells().shortened(f"\x1b[2;5H{row}\x1b[2;8Hx")
    assert text == f"\x1b[2;5H\x1b[0;38;5;9m{''.join(cells)}\x1b[2;8H\x1b[0mx"
