"""A picture as the bytes of a file, with its infotext and what made it inside."""

from __future__ import annotations

import io

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from engine.files.exif_texts import BYTE_ORDER_MARK
from engine.files.picture_texts import INFOTEXT, MAKING, write_xmp
from engine.protocol.request import PictureFormat

ENDINGS: dict[PictureFormat, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
_QUALITY = 95
"""Of JPEG and WebP: what is lost is hardly to be seen."""
_PACKING = 2
"""Of PNG, from 1 to 9: noise as pictures have it is packed in a third of the time of the usual 6,
into as many bytes."""
_MOST_IN_JPEG = 65_000
"""Bytes of one text in a JPEG, whose segments have their lengths in 16 bits."""


def encode_picture(
    image: Image.Image, kind: PictureFormat, infotext: str, making: str = ""
) -> tuple[bytes, PictureFormat]:
    """The file's bytes, and its format: PNG where a JPEG has no room for the texts.

    In a PNG both are text chunks; in JPEG and WebP the infotext is the EXIF comment, as A1111 has
    it, and what made it a property of the XMP.
    """
    infotext, making = whole(infotext), whole(making)
    file = io.BytesIO()
    if kind != "png":
        exif, xmp = _exif(infotext), write_xmp(making) if making else b""
        if kind == "webp" or max(len(exif), len(xmp)) <= _MOST_IN_JPEG:
            # Colours at full resolution; WebP has no such choice.
            colours = {"subsampling": 0} if kind == "jpeg" else {}
            own = {"xmp": xmp} if xmp else {}
            image.save(file, kind.upper(), quality=_QUALITY, exif=exif, **colours, **own)
            return file.getvalue(), kind
    info = PngInfo()
    if infotext.isascii():
        info.add_text(INFOTEXT, infotext)
    else:  # A text without an encoding may be taken for UTF-8 as well as for Latin-1.
        info.add_itxt(INFOTEXT, infotext)
    if making:
        info.add_itxt(MAKING, making)
    image.save(file, "PNG", pnginfo=info, compress_level=_PACKING)
    return file.getvalue(), "png"


def whole(text: str) -> str:
    """Without half characters (surrogates), which a terminal can hand over and no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _exif(infotext: str) -> bytes:
    exif = Image.Exif()
    if infotext.startswith(BYTE_ORDER_MARK):
        infotext = BYTE_ORDER_MARK + infotext  # the first is taken for one
    comment = b"UNICODE\0" + infotext.encode("utf-16-be")
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    return exif.tobytes()
