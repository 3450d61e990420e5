"""Where every pane lies, for any size of the terminal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from textual.geometry import Region

Mode = Literal["floor", "folded", "two columns", "three columns"]
RIGHT_PANES = ("picture", "prompt", "details", "stack", "log")
"""Panes that share the right half when the screen is folded, in the order of their keys 1 to 5."""

MIN_WIDTH, MIN_HEIGHT = 80, 24


@dataclass(frozen=True)
class Arrangement:
    """The regions of the panes shown, by pane id; panes not named are hidden."""

    mode: Mode
    regions: dict[str, Region] = field(default_factory=dict)


def arrange(width: int, height: int, right: str = "picture") -> Arrangement:
    """Lay the panes out on `width` × `height` cells; `right` is the folded screen's right pane."""
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        return Arrangement("floor")
    frame = {
        "status": Region(0, 0, width, 1),
        "keys": Region(0, height - 1, width, 1),
    }
    body = Region(0, 1, width, height - 2)
    if width < 100 or height < 30:
        return Arrangement("folded", frame | _fold(body, right))
    if width < 160 or height < 36:
        return Arrangement("two columns", frame | _two_columns(body))
    return Arrangement("three columns", frame | _three_columns(body))


def _fold(body: Region, right: str) -> dict[str, Region]:
    gauges = Region(body.x, body.bottom - 1, body.width, 1)
    left_width = max(34, min(60, body.width * 2 // 5))
    height = body.height - 1
    return {
        "library": Region(body.x, body.y, left_width, height),
        right: Region(body.x + left_width, body.y, body.width - left_width, height),
        "gauge-line": gauges,
    }


def _two_columns(body: Region) -> dict[str, Region]:
    left_width = max(44, min(56, body.width * 3 // 8))
    left, right = body.split_vertical(left_width)
    log = 6 if body.height < 40 else 8
    return _column(
        left,
        {"library": 0, "details": 8 if body.height < 40 else 12, "stack": 5, "gauges": 7},
    ) | _column(right, {"picture": 0, "prompt": 6, "log": log})


def _three_columns(body: Region) -> dict[str, Region]:
    left_width = max(44, min(56, body.width // 4))
    side_width = max(46, min(64, body.width // 4))
    left, rest = body.split_vertical(left_width)
    centre, side = rest.split_vertical(rest.width - side_width)
    return (
        _column(left, {"library": 0, "details": min(16, body.height // 3)})
        | {"picture": centre}
        | _column(side, {"prompt": 9, "stack": 8, "gauges": 7, "log": 0})
    )


def _column(area: Region, heights: dict[str, int]) -> dict[str, Region]:
    """Panes under one another; the one of height 0 takes what the others leave."""
    spare = area.height - sum(heights.values())
    regions, y = {}, area.y
    for name, height in heights.items():
        height = height or spare
        regions[name] = Region(area.x, y, area.width, height)
        y += height
    return regions
