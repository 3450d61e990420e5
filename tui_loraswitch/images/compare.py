"""Two pictures beside each other: parts of them enlarged, and where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from engine.files.picture_file import picture_of
from engine.files.picture_pixels import on_ground, upright
from tui_loraswitch.images.fit import Pixels

if TYPE_CHECKING:
    from PIL.Image import Image

_HEAT = ((0.0, (0, 0, 0)), (0.25, (70, 10, 110)), (0.5, (200, 40, 60)), (0.75, (250, 150, 20)),
         (1.0, (255, 255, 220)))  # fmt: skip
"""From no difference to the largest."""


@dataclass(frozen=True)
class Part:
    """The part of a picture that is shown: how many times enlarged, and where its middle is."""

    zoom: float = 1.0
    x: float = 0.5
    y: float = 0.5
    """Shares of width and height."""

    def zoomed(self, factor: float) -> Part:
        """Enlarged by a factor about the same middle, at most 16 times."""
        return Part(min(16.0, max(1.0, self.zoom * factor)), self.x, self.y).inside()

    def moved(self, right: float, down: float) -> Part:
        """Moved by shares of what is seen."""
        return Part(self.zoom, self.x + right / self.zoom, self.y + down / self.zoom).inside()

    def inside(self) -> Part:
        """Moved so that nothing beyond the edges is seen."""
        half = 0.5 / self.zoom
        return Part(self.zoom, min(1 - half, max(half, self.x)), min(1 - half, max(half, self.y)))

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The pixels that are seen."""
        half = 0.5 / self.zoom
        left, top = round((self.x - half) * width), round((self.y - half) * height)
        return (
            left,
            top,
            min(width, left + max(1, round(width / self.zoom))),
            min(height, top + max(1, round(height / self.zoom))),
        )


@dataclass(frozen=True)
class Difference:
    """Where two pictures differ, and how much."""

    largest: int
    """Of 255, in any channel."""
    share: float
    """Of the pixels that differ at all."""


def part_of(path: Path, part: Part) -> Pixels:
    """A part of a picture. Raises `FileFormatError`."""
    return _cropped(_pixels(path), part)


def difference_of(one: Path, other: Path, part: Part) -> tuple[Pixels, Difference]:
    """The heat map of a part; the second picture is brought to the size of the first.

    Raises `FileFormatError`.
    """
    from PIL import Image, ImageChops
    from PIL.Image import Resampling

    first, second = (Image.frombytes("RGB", p[:2], p[2]) for p in (_pixels(one), _pixels(other)))
    if second.size != first.size:
        second = second.resize(first.size, Resampling.BICUBIC)
    red, green, blue = ImageChops.difference(first, second).split()
    most = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    counts = most.histogram()
    largest = max((value for value, count in enumerate(counts) if count), default=0)
    share = 1 - counts[0] / max(1, sum(counts))
    scale = [value / max(1, largest) for value in range(256)]
    heat = Image.merge("RGB", [most.point([_heat(s)[c] for s in scale]) for c in range(3)])
    return _cropped((*heat.size, heat.tobytes()), part), Difference(largest, share)


def _pixels(path: Path) -> Pixels:
    def read(image: Image) -> Pixels:
        rgb = on_ground(upright(image))
        return (*rgb.size, rgb.tobytes())

    return picture_of(path, read)


def _cropped(pixels: Pixels, part: Part) -> Pixels:
    if part.zoom == 1:
        return pixels
    from PIL import Image

    width, height, rgb = pixels
    cut = Image.frombytes("RGB", (width, height), rgb).crop(part.box(width, height))
    return (*cut.size, cut.tobytes())


def _heat(share: float) -> tuple[int, int, int]:
    for (low, dark), (high, light) in pairwise(_HEAT):
        if share <= high:
            t = (share - low) / (high - low)
            red, green, blue = (round(a + (b - a) * t) for a, b in zip(dark, light, strict=True))
            return red, green, blue
    return _HEAT[-1][1]
