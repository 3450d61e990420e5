"""Compare two drawings: their certificates, and their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageChops

from engine.files.picture_file import picture_of
from engine.protocol.certificate import Certificate


@dataclass(frozen=True)
class PixelDifference:
    """How two pictures differ; none of it where they are the same."""

    pixels: int = 0
    """That differ; -1: the pictures are of different sizes."""
    largest: int = 0
    """Of one colour of one pixel, of 255."""


def compare_pixels(one: Path, other: Path) -> PixelDifference:
    """Compare two picture files. Raises `FileFormatError` for one that cannot be read."""
    first, second = (picture_of(path, lambda image: image.convert("RGB")) for path in (one, other))
    if first.size != second.size:
        return PixelDifference(-1, 255)
    bands = ImageChops.difference(first, second).split()
    strongest = bands[0]
    for band in bands[1:]:
        strongest = ImageChops.lighter(strongest, band)
    counts = strongest.histogram()
    return PixelDifference(sum(counts[1:]), max(v for v, count in enumerate(counts) if count))


def differences(was: Certificate, now: Certificate) -> Iterator[str]:
    """What may make pixels differ though weights and request are the same, as sentences."""
    if was.merge != now.merge:
        yield f"Weights are merged by version {now.merge}; it was {was.merge}."
    if was.loop != now.loop:
        yield f"Pictures are drawn by version {now.loop} of the sampling loop; it was {was.loop}."
    before, here = was.machine, now.machine
    for what, old, new in (
        ("device", before.device, here.device),
        ("memory mode", before.mode, here.mode),
        ("number of threads", str(before.threads), str(here.threads)),
    ):
        if old != new:
            yield f"The {what} is {new}; it was {old}."
    versions = dict(here.versions)
    for library, version in before.versions:
        if versions.get(library) != version:
            yield f"{library} is {versions.get(library, 'not there')}; it was {version}."
