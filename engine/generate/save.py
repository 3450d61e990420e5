"""Write pictures with their infotext, whole or not at all, and read the infotext back."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from uuid import uuid4

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from engine.errors import EngineError, FileFormatError

KEY = "parameters"
_NUMBERED = re.compile(r"(\d+)-.*\.png")


def save_picture(image: Image.Image, folder: Path, seed: int, infotext: str) -> Path:
    """Write `00001-seed.png` with the next free number into `folder`, made when missing.

    The file appears complete or not at all, and never in place of another. Raises `EngineError`
    when the disk is full or the folder cannot be written to.
    """
    info = PngInfo()
    # A terminal can hand over half characters (surrogates), which no file can hold.
    info.add_text(KEY, infotext.encode("utf-8", "replace").decode("utf-8"))
    unfinished = folder / f".{uuid4().hex}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("xb") as file:
                image.save(file, "PNG", pnginfo=info)
                file.flush()
                os.fsync(file.fileno())
            return _publish(unfinished, folder, seed)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise EngineError(_explain(error, folder)) from error


def _publish(unfinished: Path, folder: Path, seed: int) -> Path:
    """Move a file to the next free numbered name; taking the name first keeps it ours."""
    number = 1 + max((int(match[1]) for match in map(_match, folder.iterdir()) if match), default=0)
    while True:
        path = folder / f"{number:05}-{seed}.png"
        try:
            path.open("xb").close()
        except FileExistsError:
            number += 1
            continue
        try:
            return unfinished.replace(path)
        except OSError:
            path.unlink()
            raise


def _match(path: Path) -> re.Match[str] | None:
    return _NUMBERED.fullmatch(path.name)


def _explain(error: OSError, folder: Path) -> str:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"The picture was not saved: no space is left for {folder}. Free some first."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return (
                f"The picture was not saved: writing into {folder} is not permitted. "
                "Choose another output folder."
            )
        case errno.ENOTDIR | errno.EEXIST:
            return (
                f"The picture was not saved: {folder} is not a folder. "
                "Choose another output folder."
            )
    return f"The picture was not saved in {folder}: {error.strerror or error}."


def read_infotext(path: Path) -> str | None:
    """The infotext inside a PNG, JPEG or WebP, or None; raises `FileFormatError` for all else."""
    try:
        with Image.open(path) as image:
            text = image.info.get(KEY)
            comment = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FileFormatError(f"{path} cannot be read as a picture: {error}.") from error
    if isinstance(text, str):
        return text
    return _decode_comment(comment) if isinstance(comment, bytes) else None


def _decode_comment(comment: bytes) -> str:
    """Decode an EXIF UserComment: eight bytes name the encoding; UNICODE is UTF-16."""
    name, body = comment[:8], comment[8:]
    if name == b"UNICODE\0":
        # Big-endian by A1111's piexif; a little-endian text shows by its zero bytes.
        little = body[1::2].count(0) > body[0::2].count(0)
        return body.decode("utf-16-le" if little else "utf-16-be", "replace")
    return body.decode("utf-8", "replace").rstrip("\0")
