"""Write pictures with their infotext, whole or not at all, and read the infotext back."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import tempfile
from pathlib import Path

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from engine.errors import EngineError
from engine.files.picture_file import picture_with_texts
from engine.files.saving import in_words, write_new

log = logging.getLogger(__name__)

KEY = "parameters"
_NUMBERED = re.compile(r"([0-9]{1,9})-.*\.png", re.DOTALL)
_IN_MEMORY = Path("/dev/shm")
"""Where there is room though every disk is full (Linux)."""


def require_folder(folder: Path) -> None:
    """Raise `EngineError` when pictures cannot be written into a folder, or it cannot be made.

    What fails only in the end, such as a full disk, is not seen.
    """
    nearest = folder
    try:
        while not nearest.exists():
            nearest = nearest.parent
    except OSError as error:
        raise EngineError(_not_saved(folder, in_words(error))) from error
    if not nearest.is_dir():
        raise EngineError(_not_saved(folder, f"{nearest} is not a folder"))
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise EngineError(_not_saved(folder, "writing there is not permitted"))


def save_picture(image: Image.Image, folder: Path, seed: int, infotext: str) -> Path:
    """Write `00001-seed.png` with the next free number into `folder`, made when missing.

    The file appears complete or not at all, and never in place of another. Raises `EngineError`
    when the disk is full or the folder cannot be written to.
    """
    try:
        return _write(_encode(image, infotext), folder, seed)
    except OSError as error:
        raise EngineError(_not_saved(folder, in_words(error))) from error


def save_or_rescue(
    image: Image.Image, folder: Path, seed: int, infotext: str
) -> tuple[Path, str | None]:
    """The same, but a picture that cannot be written there goes where temporary files go.

    Returns its path, and the sentence that says so. Raises `EngineError` when no place takes it.
    """
    data = _encode(image, infotext)
    try:
        return _write(data, folder, seed), None
    except OSError as error:
        words = _not_saved(folder, in_words(error))
        for place in (Path(tempfile.gettempdir()), _IN_MEMORY):
            try:
                path = _write(data, _own_folder(place), seed)
            except OSError as another:
                log.warning("no picture in %s either: %s", place, another)
            else:
                return path, f"{words} It is {path} for now: move it before the machine restarts."
        raise EngineError(words) from error


def _encode(image: Image.Image, infotext: str) -> bytes:
    info = PngInfo()
    # A terminal can hand over half characters (surrogates), which no file can hold.
    info.add_text(KEY, infotext.encode("utf-8", "replace").decode("utf-8"))
    file = io.BytesIO()
    image.save(file, "PNG", pnginfo=info)
    return file.getvalue()


def _write(data: bytes, folder: Path, seed: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with os.scandir(folder) as entries:
        matches = (_NUMBERED.fullmatch(entry.name) for entry in entries)
        number = 1 + max((int(match[1]) for match in matches if match), default=0)
    return write_new(folder, lambda taken: f"{number + taken:05}-{seed}.png", data)


def _own_folder(place: Path) -> Path:
    """A folder for the user's pictures alone, in one that others can write into as well."""
    folder = place / f"loraswitch-pictures-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise OSError(errno.EPERM, "it belongs to somebody else", str(folder))
    return folder


def _not_saved(folder: Path, reason: str) -> str:
    return f"The picture was not saved in {folder}: {reason}. Choose another output folder."


def read_infotext(path: Path) -> str | None:
    """The infotext inside a PNG, JPEG or WebP, or None; raises `FileFormatError` for all else."""

    def texts(image: Image.Image) -> tuple[object, object]:
        exif = image.getexif()
        inner = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
        # Fooocus puts it where no camera does, and as text.
        return image.info.get(KEY), inner or exif.get(ExifTags.Base.UserComment)

    text, comment = picture_with_texts(path, texts)
    if isinstance(text, str):
        return text
    if isinstance(comment, bytes):
        return _decode_comment(comment)
    return comment if isinstance(comment, str) else None


_ENCODINGS = (b"ASCII\0\0\0", b"JIS\0\0\0\0\0", bytes(8))


def _decode_comment(comment: bytes) -> str:
    """Decode an EXIF UserComment: eight bytes name the encoding; UNICODE is UTF-16."""
    name, body = comment[:8], comment[8:]
    if name == b"UNICODE\0":
        # Big-endian by A1111's piexif; a little-endian text shows by its zero bytes.
        little = body[1::2].count(0) > body[0::2].count(0)
        return body.decode("utf-16-le" if little else "utf-16-be", "replace")
    return (body if name in _ENCODINGS else comment).decode("utf-8", "replace").rstrip("\0")
