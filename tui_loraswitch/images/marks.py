"""Marks: how it is known that something was written where the terminal has painted a picture.

Whatever is written on those cells wipes the picture out there. So they hold a mark instead of
blanks; when the driver comes upon it, it writes blanks, and the picture over them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from textual.geometry import Region

MARK = "\U0010fffd"
"""Of no meaning to anybody: the last private character."""


@runtime_checkable
class PaintsPictures(Protocol):
    """A driver that writes pictures over marks."""

    picture_over_marks: Callable[[], str]
    """What paints the picture where it is now; empty where it is not to be seen."""

    def forget_part(self, part: Region) -> None:
        """Write anew what is written there, whatever was there before."""
