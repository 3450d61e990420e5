"""Comparing drawings: every pixel, and what else may make a difference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from engine.proof.compare import PixelDifference, compare_pixels, differences
from engine.protocol.certificate import Certificate, Machine

MACHINE = Machine("cpu AVX2", "resident", 2, (("torch", "2.9"), ("diffusers", "0.35")))
CERTIFICATE = Certificate("w", "r", "b", "/m", (), 1, 1, MACHINE)


def write(path: Path, *changes: tuple[int, int, tuple[int, int, int]], size: int = 8) -> Path:
    image = Image.new("RGB", (size, size), (10, 20, 30))
    for x, y, colour in changes:
        image.putpixel((x, y), colour)
    image.save(path)
    return path


def test_every_pixel_and_the_largest_difference(tmp_path: Path) -> None:
    one = write(tmp_path / "a.png")
    assert compare_pixels(one, write(tmp_path / "b.png")) == PixelDifference()
    other = write(tmp_path / "c.png", (0, 0, (11, 20, 30)), (3, 4, (10, 20, 25)))
    assert compare_pixels(one, other) == PixelDifference(2, 5)
    # Colours that weigh nothing in a grey picture count as well.
    blue = write(tmp_path / "d.png", (1, 1, (10, 20, 31)))
    assert compare_pixels(one, blue) == PixelDifference(1, 1)
    assert compare_pixels(one, write(tmp_path / "e.png", size=9)).pixels == -1


def test_what_else_may_differ_is_said() -> None:
    assert list(differences(CERTIFICATE, CERTIFICATE)) == []
    here = Machine("cuda RTX", "tiled", 4, (("torch", "2.10"),))
    other = replace(CERTIFICATE, merge=2, loop=3, machine=here)
    assert list(differences(CERTIFICATE, other)) == [
        "Weights are merged by version 2; it was 1.",
        "Pictures are drawn by version 3 of the sampling loop; it was 1.",
        "The device is cuda RTX; it was cpu AVX2.",
        "The memory mode is tiled; it was resident.",
        "The number of threads is 4; it was 2.",
        "torch is 2.10; it was 2.9.",
        "diffusers is not there; it was 0.35.",
    ]
