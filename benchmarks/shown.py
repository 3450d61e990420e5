"""What a terminal shows: the program writes only the cells that differ."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections import deque

from rich.cells import cell_len

_TOKENS = re.compile(
    r"\x1b\[(?P<row>\d+);(?P<column>\d+)H"
    r"|\x1b\[(?P<right>\d*)C"
    r"|(?P<unseen>\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[_P](?:[^\x1b]|\x1b[^\\])*\x1b\\"
    r"|\x1b\[[?>=<]?[0-9;:]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>78DEHM])"
    r"|(?P<text>[^\x00-\x1f\x7f]+)"
    r"|(?P<other>[\x00-\x1a\x1c-\x1f\x7f])"
)
_KEPT = 5000
"""Signs: more than a screen has."""


class Shown:
    """The characters on the screen, and which lines were written to since when."""

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._lines: dict[int, dict[int, str]] = {}
        self._written: dict[int, int] = {}
        self._last: deque[tuple[int, int, str]] = deque(maxlen=_KEPT)
        """When which sign was written in which column."""
        self._row, self._column = 1, 1
        self.count = 0
        """Of what was fed."""

    def feed(self, data: bytes) -> None:
        """Take what the program has written."""
        self.count += 1
        text = self._rest + self._decoder.decode(data)
        place = 0
        while match := _TOKENS.match(text, place):
            place = match.end()
            if match["row"]:
                self._row, self._column = int(match["row"]), int(match["column"])
            elif match["right"] is not None:
                self._column += int(match["right"] or 1)
            elif match["text"]:
                self._write(match["text"])
        self._rest = text[place:]

    def has(self, text: str, since: int) -> bool:
        """Whether a line that was written to since that count has a text."""
        return any(text in self._line(row) for row, count in self._written.items() if count > since)

    def has_written(self, sign: str, column: int, since: int) -> bool:
        """Whether a sign was written in this column, or right of it, since that count."""
        return any(
            count > since and place >= column and written == sign
            for count, place, written in self._last
        )

    def screen(self) -> str:
        """All lines."""
        return "\n".join(self._line(row) for row in sorted(self._lines))

    def _line(self, row: int) -> str:
        cells = self._lines[row]
        return "".join(cells.get(column, " ") for column in range(1, 1 + max(cells)))

    def _write(self, text: str) -> None:
        cells = self._lines.setdefault(self._row, {})
        self._written[self._row] = self.count
        for sign in text:
            width = cell_len(sign)
            cells[self._column] = sign
            self._last.append((self.count, self._column, sign))
            cells |= dict.fromkeys(range(self._column + 1, self._column + width), "")
            self._column += width
