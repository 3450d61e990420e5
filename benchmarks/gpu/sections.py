"""The sections by name: their time limits, and which of them need a GPU."""

from __future__ import annotations

from typing import NamedTuple


class Section(NamedTuple):
    """A module of this package with a function `run`."""

    seconds: float
    """Its limit at full size."""
    needs_cuda: bool = False
    """Whether not even its small form runs on a CPU."""


SECTIONS = {
    "probe": Section(90),
    "tests": Section(240, needs_cuda=True),
    "exact": Section(240),
    "kernel": Section(180, needs_cuda=True),
    "switch": Section(240),
    "draw": Section(300),
    "modes": Section(150),
    "load": Section(150),
}
"""In the order of their worth, since the budget may end before the last."""

QUICK_SECONDS = 60.0
"""The limit of a section in small."""
