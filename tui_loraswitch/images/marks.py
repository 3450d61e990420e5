"""Marks: how it is known that something was written where the terminal has painted a picture.

Whatever is written on those cells wipes the picture out there. So they hold a mark instead of
blanks, each picture one of its own; when the driver comes upon it, it writes blanks, and the
picture over them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from textual.geometry import Region

MARKS = "".join(map(chr, range(0x10FFF0, 0x10FFFE)))
"""Of no meaning to anybody: the last private characters."""
ANY_MARK = re.compile(f"[{MARKS}]")


@runtime_checkable
class PaintsPictures(Protocol):
    """A driver that writes pictures over marks."""

    pictures: dict[str, Callable[[], str]]
    """By mark, what paints a picture where it is now; it gives nothing where it is not seen."""

    def forget_part(self, part: Region) -> None:
        """Write anew what is written there, whatever was there before."""
