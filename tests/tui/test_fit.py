"""Pictures made as large as fits: their shape and colours as they are meant."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from engine.gallery.thumbnails import Thumbnails
from tui_loraswitch.images.fit import fit_half_cells, fit_protocol
from tui_loraswitch.images.terminal import TerminalImages


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_a_photograph_on_its_side_is_shown_upright():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    data = saved(Image.new("RGB", (800, 200), "red"), "JPEG", exif=exif)
    cells = fit_half_cells(data, 40, 20)
    assert (cells.width, cells.rows) == (10, 20)
    picture = fit_protocol(data, 40, 20, TerminalImages("sixel", 10, 20))
    assert picture.image.width < picture.image.height


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (Image.fromarray(np.full((8, 8), 30000, np.uint16)), 117),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 0)), 255),
        (Image.new("1", (8, 8), 1), 255),
        (Image.new("L", (8, 8), 90), 90),
    ],
)
def test_colours_are_as_they_are_meant(image: Image.Image, colour: int, tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(saved(image))
    assert set(fit_half_cells(path, 4, 2).rgb) == {colour}
    with Image.open(io.BytesIO(Thumbnails(None).small(path))) as small:
        assert small.getpixel((0, 0)) == pytest.approx((colour,) * 3, abs=2)
