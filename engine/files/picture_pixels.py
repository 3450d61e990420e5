"""A picture's pixels as they are meant: upright, in eight bits, on a ground where they are clear.

Pillow by itself shows 16 bits of grey as white, and what is transparent in a colour that nobody was
to see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.files.exif_texts import orientation

if TYPE_CHECKING:
    from PIL.Image import Image, Transpose

_SIXTEEN_BITS = ("I", "I;16")


def upright(picture: Image) -> Image:
    """As the camera was held; RGBA where it is transparent, RGB or grey where not."""
    turn = _turns().get(_orientation(picture))
    if picture.mode in _SIXTEEN_BITS:
        picture = picture.point(lambda value: value * (1 / 256)).convert("L")
    elif picture.has_transparency_data:
        picture = picture.convert("RGBA")
    else:
        picture = picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    return picture if turn is None else picture.transpose(turn)


def upright_size(picture: Image) -> tuple[int, int]:
    """Width and height of a picture as the camera was held, without decoding it."""
    width, height = picture.size
    return (height, width) if _orientation(picture) in (5, 6, 7, 8) else (width, height)


def _orientation(picture: Image) -> int:
    exif = picture.info.get("exif")
    return orientation(exif) if isinstance(exif, bytes) else 0


def _turns() -> dict[int, Transpose]:
    """What turns a picture upright, by EXIF's numbers for how the camera was held."""
    from PIL.Image import Transpose

    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }


def on_ground(picture: Image, colour: str = "white") -> Image:
    """An upright picture in RGB, on this colour where it is transparent."""
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    from PIL import Image

    ground = Image.new("RGBA", picture.size, colour)
    return Image.alpha_composite(ground, picture).convert("RGB")


def as_mask(picture: Image) -> Image:
    """A picture that says by its grey how much: nothing where it is transparent."""
    return on_ground(upright(picture), "black").convert("L")
