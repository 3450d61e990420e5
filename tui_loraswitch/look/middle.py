"""Names that are too long for their room, cut in the middle: both ends tell them apart."""

from __future__ import annotations

from rich.cells import cell_len

CUT = "…"


def cut_middle(text: str, width: int) -> str:
    """The text in at most `width` cells; a little more of its beginning than of its end."""
    if cell_len(text) <= width:
        return text
    if width < 3:
        return _head(text, width)
    head = _head(text, (width - len(CUT)) * 3 // 5)
    tail = _head(text[::-1], width - len(CUT) - cell_len(head))[::-1]
    return f"{head}{CUT}{tail}"


def _head(text: str, width: int) -> str:
    """As many characters from the beginning as fit."""
    cells = 0
    for place, character in enumerate(text):
        cells += cell_len(character)
        if cells > width:
            return text[:place]
    return text
