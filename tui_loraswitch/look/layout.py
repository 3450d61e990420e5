"""Where every pane lies, for any size of the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field
from textual.geometry import Region

from tui_loraswitch.look.columns import LEAST, Column, Part

Mode = Literal["floor", "single", "folded", "two columns", "three columns"]
RIGHT_PANES = ("picture", "prompt", "details", "stack", "log", "gauges")
"""Panes that share the right half when the screen is folded, in the order of their keys 1 to 6."""

MIN_WIDTH, MIN_HEIGHT = 40, 10
"""With less there is only a message."""
FOLDED_WIDTH, FOLDED_HEIGHT = 80, 24
"""With less, one pane is seen at a time."""
GAUGES_HEIGHT = 46
"""With less, memory and GPU have one line for the whole width."""
LINE_OF_GAUGES_HEIGHT = 14
"""With less, they have none."""


class Wishes(Struct, frozen=True):
    """What decides about the room besides the terminal's size."""

    right: str = "picture"
    """The right pane of the folded screen."""
    alone: str = "library"
    """The pane that is seen where only one is."""
    is_zoomed: bool = False
    """Only that is to be seen, though there may be room for more."""
    needs: Mapping[str, int] = field(default_factory=dict)
    """Lines that panes have to show, by pane."""
    splits: Mapping[str, int] = field(default_factory=dict)
    """Cells by which the user has made panes higher, or `left` and `side` wider."""


class Arrangement(Struct, frozen=True):
    """The regions of the panes shown, by pane id; panes not named are hidden."""

    mode: Mode
    regions: dict[str, Region] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    """The panes that stand on one another, from left to right."""


_NONE = Wishes()


def arrange(width: int, height: int, wishes: Wishes = _NONE) -> Arrangement:
    """Lay the panes out on `width` × `height` cells."""
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        return Arrangement("floor")
    frame = {
        "status": Region(0, 0, width, 1),
        "keys": Region(0, height - 1, width, 1),
    }
    body = Region(0, 1, width, height - 2)
    mode = _mode(width, height, wishes)
    gauges_have_room = mode == "three columns" or (height >= GAUGES_HEIGHT and mode != "folded")
    if not wishes.is_zoomed and not gauges_have_room and height >= LINE_OF_GAUGES_HEIGHT:
        body = Region(body.x, body.y, width, body.height - 1)
        frame["gauge-line"] = Region(0, body.bottom, width, 1)
    if mode == "single":
        return Arrangement(mode, frame | {wishes.alone: body})
    columns = {"folded": _fold, "two columns": _two_columns, "three columns": _three_columns}
    return _of_columns(mode, frame, columns[mode](body, wishes))


def _mode(width: int, height: int, wishes: Wishes) -> Mode:
    if wishes.is_zoomed or width < FOLDED_WIDTH or height < FOLDED_HEIGHT:
        return "single"
    if width < 100 or height < 30:
        return "folded"
    return "two columns" if width < 160 or height < 36 else "three columns"


def _of_columns(mode: Mode, frame: dict[str, Region], columns: tuple[Column, ...]) -> Arrangement:
    regions = dict(frame)
    for column in columns:
        regions |= column.regions
    return Arrangement(mode, regions, columns)


def _fold(body: Region, wishes: Wishes) -> tuple[Column, ...]:
    left, right = _split(body, max(34, min(60, body.width * 2 // 5)), wishes, least=24)
    return Column(left, (Part("library"),)), Column(right, (Part(wishes.right),))


def _two_columns(body: Region, wishes: Wishes) -> tuple[Column, ...]:
    left, right = _split(body, max(44, min(56, body.width * 3 // 8)), wishes)
    below = [_details(body, wishes), _stack(body, wishes)]
    if body.height >= GAUGES_HEIGHT - 2:  # else they have a line of their own
        below.append(Part("gauges", 7))
    log = Part("log", 5 if body.height < 38 else 8)
    return (
        Column(left, (_library(body), *below), wishes.splits),
        Column(right, (Part("picture", 0, 8), _prompt(body, wishes), log), wishes.splits),
    )


def _three_columns(body: Region, wishes: Wishes) -> tuple[Column, ...]:
    left, rest = _split(body, max(44, min(56, body.width // 4)), wishes)
    side_width = max(46, min(64, body.width // 4)) + wishes.splits.get("side", 0)
    side_width = max(30, min(side_width, rest.width - 30))
    centre, side = rest.split_vertical(rest.width - side_width)
    parts = (_prompt(body, wishes), _stack(body, wishes), Part("gauges", 7), Part("log", 0, 6))
    return (
        Column(left, (_library(body), _details(body, wishes, most=16)), wishes.splits),
        Column(centre, (Part("picture"),)),
        Column(side, parts, wishes.splits),
    )


def _split(body: Region, width: int, wishes: Wishes, *, least: int = 30) -> tuple[Region, Region]:
    width = max(least, min(width + wishes.splits.get("left", 0), body.width - 30))
    return body.split_vertical(width)


def _library(body: Region) -> Part:
    """The list is what one chooses from: it gets five eighths of its column at least."""
    return Part("library", 0, body.height * 5 // 8 + 1)


def _details(body: Region, wishes: Wishes, most: int = 12) -> Part:
    return Part("details", max(6, min(most, body.height // 4)), 5)


def _stack(body: Region, wishes: Wishes) -> Part:
    lines = wishes.needs.get("stack", 1)
    return Part("stack", min(max(LEAST, lines + 2), max(5, body.height // 6)))


def _prompt(body: Region, wishes: Wishes) -> Part:
    lines = wishes.needs.get("prompt", 0)
    return Part("prompt", min(max(6, lines + 2), max(6, body.height // 4)), 5)
