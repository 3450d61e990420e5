"""Pictures made as large as fits, away from the thread that draws the screen."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tui_loraswitch.images.terminal import TerminalImages

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_CELLS = (120, 60)
"""A protocol picture larger than this costs megabytes over SSH."""
MAX_SOURCE_PIXELS = 64_000_000


@dataclass(frozen=True)
class HalfCells:
    """A picture of `width` × `rows` characters, each two pixels high, as RGB bytes."""

    width: int
    rows: int
    rgb: bytes = field(repr=False)


@dataclass(frozen=True)
class ProtocolPicture:
    """A picture scaled to whole cells, for textual-image."""

    width: int
    """Cells."""
    rows: int
    image: Image


Source = Path | bytes | tuple[int, int, bytes]
"""A file, a file's bytes, or width, height and RGB bytes."""


def fit_half_cells(source: Source, max_width: int, max_rows: int) -> HalfCells:
    """Scale a picture into `max_width` × `max_rows` cells, keeping its shape.

    Raises OSError or ValueError when the source is no picture (Pillow's errors).
    """
    image = _open(source)
    scale = min(max_width / image.width, 2 * max_rows / image.height)
    width = max(1, round(image.width * scale))
    rows = max(1, round(image.height * scale / 2))
    return HalfCells(width, rows, _resized(image, width, rows * 2).tobytes())


def fit_protocol(
    source: Source, max_width: int, max_rows: int, terminal: TerminalImages
) -> ProtocolPicture:
    """Scale a picture to the pixels of at most `max_width` × `max_rows` cells of the terminal."""
    image = _open(source)
    max_width, max_rows = min(max_width, MAX_CELLS[0]), min(max_rows, MAX_CELLS[1])
    scale = min(
        max_width * terminal.cell_width / image.width,
        max_rows * terminal.cell_height / image.height,
    )
    width = max(1, round(image.width * scale / terminal.cell_width))
    rows = max(1, round(image.height * scale / terminal.cell_height))
    pixels = (width * terminal.cell_width, rows * terminal.cell_height)
    return ProtocolPicture(width, rows, _resized(image, *pixels))


def _open(source: Source) -> Image:
    from PIL import Image

    if isinstance(source, tuple):
        width, height, rgb = source
        return Image.frombytes("RGB", (width, height), rgb)
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        if image.width * image.height > MAX_SOURCE_PIXELS:
            raise ValueError(f"the picture has {image.width} × {image.height} pixels")
        image.draft("RGB", (1024, 1024))
        return image.convert("RGB")


def _resized(image: Image, width: int, height: int) -> Image:
    from PIL.Image import Resampling

    small = width * height < image.width * image.height
    return image.resize((width, height), Resampling.LANCZOS if small else Resampling.BICUBIC)
