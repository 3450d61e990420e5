"""Kitty's graphics protocol with Unicode placeholders: a picture that moves with the text.

The picture is sent once, under a number, and is shown wherever cells hold the placeholder character
in a colour that stands for the number; diacritics say which part of it a cell shows. So tmux can
carry it: to tmux the cells are text, and the picture itself goes through unread.
See https://sw.kovidgoyal.net/kitty/graphics-protocol/#unicode-placeholders.
"""

from __future__ import annotations

import os
import re
from base64 import standard_b64encode
from functools import cache
from itertools import count
from typing import ClassVar, Self

PLACEHOLDER = "\U0010eeee"
MOST_CELLS = 297
"""Rows and columns that there are diacritics for."""
_PIECE_BYTES = 4096
_DIACRITICS = (
    "305 30d-30e 310 312 33d-33f 346 34a-34c 350-352 357 35b 363-36f 483-487 592-595 597-599 "
    "59c-5a1 5a8-5a9 5ab-5ac 5af 5c4 610-617 657-65b 65d-65e 6d6-6dc 6df-6e2 6e4 6e7-6e8 6eb-6ec "
    "730 732-733 735-736 73a 73d 73f-741 743 745 747 749-74a 7eb-7f1 7f3 816-819 81b-823 825-827 "
    "829-82d 951 953-954 f82-f83 f86-f87 135d-135f 17dd 193a 1a17 1a75-1a7c 1b6b 1b6d-1b73 "
    "1cd0-1cd2 1cda-1cdb 1ce0 1dc0-1dc1 1dc3-1dc9 1dcb-1dcc 1dd1-1de6 1dfe 20d0-20d1 20d4-20d7 "
    "20db-20dc 20e1 20e7 20e9 20f0 2cef-2cf1 2de0-2dff a66f a67c-a67d a6f0-a6f1 a8e0-a8f1 aab0 "
    "aab2-aab3 aab7-aab8 aabe-aabf aac1 fe20-fe26 10a0f 10a38 1d185-1d189 1d1aa-1d1ad 1d242-1d244"
)
"""The code points of the numbers 0, 1, 2 …, as the protocol's document lists them."""

_VERSION = re.compile(r"kitty\((\d+)\.(\d+)")
_FIRST_VERSION = 0, 28


def has_placeholders(name: str) -> bool:
    """Whether a terminal that calls itself so knows the placeholders: other terminals, and Kitty
    before 0.28, show pictures by this protocol, but would show boxes for these.
    """
    name = name.casefold()
    if version := _VERSION.search(name):
        return (int(version[1]), int(version[2])) >= _FIRST_VERSION
    return "kitty" in name or "ghostty" in name


class PictureNumber:
    """The number of a picture, unlike those of other programs in the terminal.

    Its lowest byte is a colour of the 256, which any tmux passes on as it is; its highest is the
    third diacritic of a cell.
    """

    _made: ClassVar = count()

    def __init__(self, seed: int) -> None:
        self.colour = 16 + seed % 240
        self.third = 1 + seed // 240 % (MOST_CELLS - 42)

    @classmethod
    def new(cls) -> Self:
        """Another number of this program, which has two hundred."""
        return cls(os.getpid() + 241 * next(cls._made))

    def __int__(self) -> int:
        return self.third << 24 | self.colour


def sent(png: bytes, number: PictureNumber, columns: int, rows: int, *, in_tmux: bool) -> str:
    """What gives the terminal a picture, to be shown on `columns` × `rows` placeholders."""
    data = standard_b64encode(png).decode()
    pieces = [data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES)] or [""]
    first = f"a=T,U=1,q=2,f=100,i={int(number)},c={columns},r={rows},"
    written = []
    for place, piece in enumerate(pieces):
        more = int(place + 1 < len(pieces))
        keys = f"{first if not place else 'q=2,'}m={more}"
        written.append(_command(f"{keys};{piece}", in_tmux=in_tmux))
    return "".join(written)


def deleted(number: PictureNumber, *, in_tmux: bool) -> str:
    """What has the terminal forget the picture."""
    return _command(f"a=d,d=I,q=2,i={int(number)}", in_tmux=in_tmux)


def cell(row: int, column: int, number: PictureNumber) -> str:
    """The text of one cell; its colour is `number.colour`."""
    marks = _marks()
    return PLACEHOLDER + marks[row] + marks[column] + marks[number.third]


def through_tmux(sequence: str) -> str:
    """An escape sequence for the terminal around tmux, which needs `allow-passthrough on`."""
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def _command(text: str, *, in_tmux: bool) -> str:
    sequence = f"\x1b_G{text}\x1b\\"
    return through_tmux(sequence) if in_tmux else sequence


@cache
def _marks() -> tuple[str, ...]:
    marks: list[str] = []
    for part in _DIACRITICS.split():
        first, _, last = part.partition("-")
        marks += map(chr, range(int(first, 16), int(last or first, 16) + 1))
    return tuple(marks)
