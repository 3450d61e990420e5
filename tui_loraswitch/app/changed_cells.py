"""Fewer bytes for the same screen: of what is written only the cells that differ are sent.

Textual paints whole parts of lines, most of which look as before: a line whose last word is new, a
list whose cursor has moved. Here what each cell shows is known, as far as it was written here.
"""

from __future__ import annotations

import re

from rich.cells import cell_len
from textual.geometry import Region

from tui_loraswitch.app.short_styles import PLAIN, Style, after, change, for_blanks
from tui_loraswitch.images.marks import MARKS

Cell = tuple[str, Style]

_TOKENS = re.compile(
    r"\x1b\[(?P<style>[0-9;:]*)m"
    r"|\n?\x1b\[(?P<row>\d+);(?P<column>\d+)H"
    r"|(?P<unseen>\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b_[^\x1b]*\x1b\\"
    r"|\x1bP(?:[^\x1b]+|\x1b\x1b)*\x1b\\|\x1b\[\?2026[hl])"
    r"|(?P<text>[^\x00-\x1f\x7f]+)"
    r"|(?P<other>[\x00-\x1f\x7f])"
)
_ONE_CELL_EACH = re.compile(
    "[ -~\u00a1-\u00ac\u00ae-\u02ff\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u2190-\u2319"
    "\u2320-\u23cf\u2500-\u25fc\u2713\u2717\u2800-\u28ff"
    f"\U0001cd00-\U0001cde5\U0001fb00-\U0001fbaf{MARKS}]+"
)
"""Characters that are as wide as one cell in every terminal; of others it is not sure. Marks are
written as blanks."""
_MOVE_BYTES = 4
"""Of a move by some cells: as many that look as before are written again instead."""


class ChangedCells:
    """Follows what is written to one terminal, and leaves out what is there already.

    A style that is not understood is passed on as it is, and nothing is taken for granted then.
    """

    def __init__(self) -> None:
        self._rows: dict[int, dict[int, Cell]] = {}
        """What cells show, by row and column; those that are not here may show anything."""
        self._style: Style | None = PLAIN
        """What the text has; None: what was passed on as it is."""
        self._shown: Style | None = None
        """What the terminal has; None: not known."""
        self._at: tuple[int, int] | None = None
        """Where the text goes; None: not known."""
        self._cursor: tuple[int, int] | None = None
        """Where the terminal's cursor is; None: not known."""
        self._follows = False
        """Whether the text goes on behind another whose width is not sure."""
        self._out: list[str] = []

    def forget(self) -> None:
        """Take nothing for granted: others may have written to the terminal."""
        self._rows.clear()
        self._shown = self._cursor = None
        self._follows = False

    def forget_part(self, part: Region) -> None:
        """Take nothing for granted where something was painted."""
        columns = range(part.x + 1, part.right + 1)
        for row in range(part.y + 1, part.bottom + 1):
            cells = self._rows.get(row, {})
            for column in [column for column in cells if column in columns]:
                del cells[column]

    def shortened(self, text: str, keeps_cursor: bool = False) -> str:
        """The same on the screen in fewer bytes; `keeps_cursor`: the cursor's place counts."""
        for token in _TOKENS.finditer(text):
            kind = token.lastgroup
            if kind == "style":
                self._take_style(token["style"])
            elif kind == "column":
                self._at, self._follows = (int(token["row"]), int(token["column"])), False
            elif kind == "text":
                self._write(token[0])
            elif kind == "unseen":
                self._out.append(token[0])
            else:
                self._pass(token[0])
        if keeps_cursor:
            self._go()
        written = "".join(self._out)
        self._out.clear()
        return written

    def _take_style(self, codes: str) -> None:
        style = after(self._style, codes)
        if style is None:
            self._show_style()
            self._out.append(f"\x1b[{codes}m")
            self._shown = None
        self._style = style

    def _pass(self, begin: str) -> None:
        """A sequence that is not known here; the rest of it counts as text without a place."""
        self._go()
        self._show_style()
        self._out.append(begin)
        self._rows.clear()
        self._at = self._cursor = None
        self._follows = False

    def _write(self, text: str) -> None:
        style = self._style
        is_certain = not self._follows and _ONE_CELL_EACH.fullmatch(text) is not None
        if self._at is None or style is None or not is_certain:
            self._write_as_it_is(text, is_certain)
            return
        row, column = self._at
        cells = self._rows.setdefault(row, {})
        new = [(sign, style.blank if sign == " " else style) for sign in text]
        old = [cells.get(column + count) for count in range(len(new))]
        for start, end in _differing(new, old, text) if new != old else ():
            self._at = row, column + start
            self._go()
            part = text[start:end]
            self._show_style(is_blank=part.isspace())
            self._out.append(part)
            cells.update(zip(range(column + start, column + end), new[start:end], strict=True))
            self._cursor = row, column + end
        self._at = row, column + len(text)

    def _write_as_it_is(self, text: str, is_certain: bool) -> None:
        self._go()
        self._show_style()
        self._out.append(text)
        if self._at is not None:
            row, column = self._at
            cells = self._rows.get(row, {})
            # It may reach farther than it seems.
            for place in [place for place in cells if place >= column]:
                del cells[place]
            self._at = row, column + cell_len(text)
            self._cursor = self._at if is_certain else None
            self._follows = not is_certain

    def _show_style(self, is_blank: bool = False) -> None:
        """Make the terminal's style the wanted one, as far as blanks show it."""
        wanted = self._style
        if wanted is not None and wanted is not self._shown:
            wanted = for_blanks(self._shown, wanted) if is_blank else wanted
            self._out.append(change(self._shown, wanted))
            self._shown = wanted

    def _go(self) -> None:
        """Bring the terminal's cursor to where the text goes."""
        at, cursor = self._at, self._cursor
        if at is None or at == cursor or self._follows:
            return
        move = f"\x1b[{at[0]};{at[1]}H"
        if cursor is not None and cursor[0] == at[0] and cursor[1] < at[1]:
            count = at[1] - cursor[1]
            move = min(f"\x1b[{count if count > 1 else ''}C", move, key=len)
        self._cursor = at
        self._out.append(move)


def _differing(new: list[Cell], old: list[Cell | None], text: str) -> list[tuple[int, int]]:
    """From where to where cells differ; those between that are no longer than a move count too."""
    if not any(old):  # as in the first frame
        return [(0, len(new))]
    spans: list[tuple[int, int]] = []
    for place, (one, other) in enumerate(zip(new, old, strict=True)):
        if one == other:
            continue
        if spans and len(text[spans[-1][1] : place].encode()) <= _MOVE_BYTES:
            spans[-1] = spans[-1][0], place + 1
        else:
            spans.append((place, place + 1))
    return spans
