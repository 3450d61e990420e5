"""Pixels as they are meant, whatever a file has beside them and however many bits they have."""

from __future__ import annotations

import io
import itertools
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from engine.files.picture_file import picture_of
from engine.files.picture_pixels import as_mask, on_ground, upright, upright_size

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 255, 255))


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def corners() -> Image.Image:
    """Three by two patches, each of another colour."""
    image = Image.new("RGB", (48, 32))
    for colour, (x, y) in zip(COLOURS, itertools.product(range(3), range(2)), strict=True):
        image.paste(colour, (16 * x, 16 * y, 16 * x + 16, 16 * y + 16))
    return image


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_photograph_is_turned_as_the_camera_was_held(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = saved(corners(), kind, exif=exif, quality=95)
    with Image.open(io.BytesIO(data)) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    found = picture_of(data, lambda picture: on_ground(upright(picture)))
    assert picture_of(data, upright_size) == found.size == expected.size
    assert np.array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"x" * 90,
                                  b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(90)])  # fmt: skip
def test_a_broken_exif_turns_nothing(exif: bytes) -> None:
    data = saved(corners(), "JPEG", exif=exif)
    assert picture_of(data, lambda picture: upright(picture).size) == (48, 32)
    assert picture_of(data, upright_size) == (48, 32)


@pytest.mark.parametrize("value", [0, 255, 256, 30000, 65535])
def test_sixteen_bits_of_grey_are_grey(value: int) -> None:
    data = saved(Image.fromarray(np.full((4, 5), value, np.uint16)))
    assert picture_of(data, lambda picture: picture.mode).startswith("I")
    for look in (lambda p: on_ground(upright(p)), as_mask):
        found = np.asarray(picture_of(data, look))
        assert found.shape[:2] == (4, 5)
        assert (found == value // 256).all()


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGBA", (4, 4), (255, 0, 0, 0)),
        Image.new("LA", (4, 4), (90, 0)),
        Image.new("RGBA", (4, 4), (255, 0, 0, 0)).quantize(),
    ],
    ids=lambda image: image.mode,
)
def test_what_is_transparent_is_the_ground(image: Image.Image) -> None:
    data = saved(image)
    found = picture_of(data, lambda picture: on_ground(upright(picture)))
    assert (np.asarray(found) == 255).all()
    assert (np.asarray(picture_of(data, as_mask)) == 0).all(), "no part of a mask"


def test_half_of_it_shines_through() -> None:
    data = saved(Image.new("RGBA", (4, 4), (255, 0, 0, 128)))
    found = picture_of(data, lambda picture: on_ground(upright(picture)))
    assert found.getpixel((1, 1)) == pytest.approx((255, 127, 127), abs=1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_other_modes_keep_their_colour(mode: str) -> None:
    data = saved(
        Image.new("RGB", (16, 16), "white").convert(mode), "JPEG" if mode == "CMYK" else "PNG"
    )
    found = picture_of(data, lambda picture: upright(picture))
    assert found.mode in ("L", "RGB")
    assert (np.asarray(found) >= 253).all()
