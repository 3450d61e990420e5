"""The colours that terminals know by a number (xterm's 256): half the bytes of any others."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_LEVELS = (0, 95, 135, 175, 215, 255)
_FIRST_OF_CUBE, _FIRST_GREY = 16, 232

NUMBERS: dict[bytes, int] = {
    **{bytes((8 + 10 * n,) * 3): _FIRST_GREY + n for n in range(24)},
    **{bytes(rgb): _FIRST_OF_CUBE + n for n, rgb in enumerate(product(_LEVELS, repeat=3))},
}
"""The number of each colour; the first sixteen are the user's own and look different everywhere."""


def in_numbered_colours(image: Image) -> Image:
    """The same picture with each pixel in the nearest of these colours, as RGB, undithered.

    Dithering would take bytes: it leaves no two neighbours alike.
    """
    from PIL.Image import Dither

    return image.quantize(palette=_palette(), dither=Dither.NONE).convert("RGB")


def numbered(rgb: bytes) -> bytes:
    """RGB colours, each replaced by the nearest that has a number."""
    from PIL import Image

    row = Image.frombytes("RGB", (len(rgb) // 3, 1), rgb)
    return in_numbered_colours(row).tobytes()


@cache
def _palette() -> Image:
    from PIL import Image

    palette = Image.new("P", (1, 1))
    colours = b"".join(NUMBERS)
    palette.putpalette(colours + colours[-3:] * (256 - len(NUMBERS)))
    return palette
