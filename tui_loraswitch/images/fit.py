"""Pictures made as large as fits, away from the thread that draws the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.files.picture_file import picture_of
from engine.files.picture_pixels import on_ground, upright
from tui_loraswitch.images.numbered_colours import in_numbered_colours, numbered
from tui_loraswitch.images.symbol_sets import GRIDS, SymbolSet
from tui_loraswitch.images.terminal import TerminalImages

if TYPE_CHECKING:
    from PIL.Image import Image

_T = TypeVar("_T")

MAX_CELLS = (120, 60)
"""A protocol picture larger than this costs megabytes over SSH."""


@dataclass(frozen=True)
class HalfCells:
    """A picture of `width` × `rows` characters, each of two colours.

    `rgb` has for each row the colours in front of the characters (▀: the upper pixel), then those
    behind them.
    """

    width: int
    rows: int
    rgb: bytes = field(repr=False)
    has_numbered_colours: bool = False
    """All its colours are of xterm's 256, which take half the bytes."""
    symbols: str = field(default="", repr=False)
    """The characters, row by row; none: all are ▀."""


@dataclass(frozen=True)
class ProtocolPicture:
    """A picture scaled to whole cells, for textual-image."""

    width: int
    """Cells."""
    rows: int
    image: Image


Pixels = tuple[int, int, bytes]
"""Width, height and RGB."""
Source = Path | bytes | Pixels
"""A file, a file's bytes, or pixels."""


def fit_half_cells(
    source: Source,
    max_width: int,
    max_rows: int,
    is_thrifty: bool = False,
    symbols: SymbolSet | None = None,
) -> HalfCells:
    """Scale a picture into `max_width` × `max_rows` cells, keeping its shape.

    `is_thrifty` leaves it only the colours that a terminal knows by a number. `symbols` has finer
    shapes than half a cell.
    Raises `FileFormatError` when the source is no picture, or too large a one.
    """

    across, down = GRIDS[symbols] if symbols else (1, 2)

    def fit(image: Image) -> HalfCells:
        scale = min(max_width / image.width, 2 * max_rows / image.height)
        width = max(1, round(image.width * scale))
        rows = max(1, round(image.height * scale / 2))
        small = _resized(image, width * across, rows * down)
        if not symbols:
            small = in_numbered_colours(small) if is_thrifty else small
            return HalfCells(width, rows, small.tobytes(), is_thrifty)
        from tui_loraswitch.images.symbols import drawn_in

        characters, rgb = drawn_in(small, width, rows, symbols)
        return HalfCells(width, rows, numbered(rgb) if is_thrifty else rgb, is_thrifty, characters)

    return _with_picture(source, max(max_width * across, max_rows * down), fit)


def fit_protocol(
    source: Source, max_width: int, max_rows: int, terminal: TerminalImages
) -> ProtocolPicture:
    """Scale a picture to the pixels of at most `max_width` × `max_rows` cells of the terminal.

    Raises `FileFormatError` as `fit_half_cells` does.
    """
    max_width, max_rows = min(max_width, MAX_CELLS[0]), min(max_rows, MAX_CELLS[1])

    def fit(image: Image) -> ProtocolPicture:
        scale = min(
            max_width * terminal.cell_width / image.width,
            max_rows * terminal.cell_height / image.height,
        )
        width = max(1, round(image.width * scale / terminal.cell_width))
        rows = max(1, round(image.height * scale / terminal.cell_height))
        pixels = (width * terminal.cell_width, rows * terminal.cell_height)
        return ProtocolPicture(width, rows, _resized(image, *pixels))

    side = max(max_width * terminal.cell_width, max_rows * terminal.cell_height)
    return _with_picture(source, side, fit)


def _with_picture(source: Source, side: int, fit: Callable[[Image], _T]) -> _T:
    """Give a picture to `fit`, which makes no side of it longer than this."""
    if isinstance(source, tuple):
        from PIL.Image import frombytes

        width, height, rgb = source
        return fit(frombytes("RGB", (width, height), rgb))

    def fit_upright(image: Image) -> _T:
        # A JPEG is decoded smaller at once, to no less than twice what is shown.
        image.draft("RGB", (2 * side, 2 * side))
        return fit(upright(image))

    return picture_of(source, fit_upright)


def _resized(image: Image, width: int, height: int) -> Image:
    from PIL.Image import Resampling

    small = width * height < image.width * image.height
    way = Resampling.LANCZOS if small else Resampling.BICUBIC
    return on_ground(image.resize((width, height), way))
