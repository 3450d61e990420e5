"""Sixel: a picture of up to 256 colours, written in bands of six rows of pixels.

See DEC's "VT330/VT340 Programmer Reference Manual", volume 2, chapter 14.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_BAND = 6
_LONG_RUN = re.compile(rb"(.)\1{3,}")


def sixel(image: Image) -> str:
    """The sequence that draws an RGB image where the cursor is."""
    from PIL.Image import Quantize

    numbered = image.quantize(256, method=Quantize.FASTOCTREE)
    levels = bytes(numbered.getpalette() or ())
    pixels = np.asarray(numbered)
    height, width = pixels.shape
    written = [b'\x1bP0;1;0q"1;1;%d;%d' % (width, height)]
    for number in range(len(levels) // 3):
        red, green, blue = (round(level / 2.55) for level in levels[3 * number : 3 * number + 3])
        written.append(b"#%d;2;%d;%d;%d" % (number, red, green, blue))
    columns, bits = np.arange(width), np.zeros((256, width), np.uint8)
    for top in range(0, height, _BAND):
        for row, numbers in enumerate(pixels[top : top + _BAND]):
            bits[numbers, columns] |= 1 << row
        seen = np.flatnonzero(bits.any(1))
        rows = (
            b"#%d" % number + _LONG_RUN.sub(_repeated, (bits[number] + 63).tobytes().rstrip(b"?"))
            for number in seen
        )
        written.append(b"$".join(rows) + b"-")
        bits[seen] = 0
    return b"".join((*written, b"\x1b\\")).decode("ascii")


def _repeated(run: re.Match[bytes]) -> bytes:
    return b"!%d%c" % (len(run[0]), run[1])
