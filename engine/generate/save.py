"""Write pictures with their infotext, whole or not at all, and read the infotext back."""

from __future__ import annotations

import errno
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from engine.errors import EngineError
from engine.files.picture_texts import INFOTEXT, read_picture_texts
from engine.files.saving import in_words, write_new
from engine.generate.file_names import Drawn, FileNames
from engine.generate.picture_bytes import ENDINGS, encode_picture
from engine.protocol.making import Making, encode_making

log = logging.getLogger(__name__)

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


@dataclass(frozen=True)
class FinishedPicture:
    """A picture to be written, where and as its request says."""

    image: Image.Image
    infotext: str
    making: Making
    model: str
    """The model's name, for names of files."""
    at: float
    """When it was finished, in seconds since 1970; this is not in the file."""


def save_picture(picture: FinishedPicture) -> Path:
    """Write it under the next free name of its pattern, into a folder that is made when missing.

    The file appears complete or not at all, and never in place of another. Raises `EngineError`
    when the disk is full or the folder cannot be written to.
    """
    output = picture.making.request.output
    try:
        return _write(_encode(picture), output, picture)
    except OSError as error:
        raise EngineError(_not_saved(output, in_words(error))) from error


def save_or_rescue(picture: FinishedPicture) -> tuple[Path, str | None]:
    """The same, but a picture that cannot be written there goes where temporary files go.

    Returns its path, and the sentence that says so. Raises `EngineError` when no place takes it.
    """
    encoded, output = _encode(picture), picture.making.request.output
    try:
        return _write(encoded, output, picture), None
    except OSError as error:
        words = _not_saved(output, in_words(error))
        for place in (Path(tempfile.gettempdir()), _IN_MEMORY):
            try:
                path = _write(encoded, _own_folder(place), picture)
            except OSError as another:
                log.warning("no picture in %s either: %s", place, another)
            else:
                return path, f"{words} It is {path} for now: move it before the machine restarts."
        raise EngineError(words) from error


def _encode(picture: FinishedPicture) -> tuple[bytes, str]:
    """The bytes, and the ending of the file's name."""
    making = picture.making
    kind = making.request.picture_format
    data, kind = encode_picture(picture.image, kind, picture.infotext, encode_making(making))
    return data, ENDINGS[kind]


def _write(encoded: tuple[bytes, str], output: Path, picture: FinishedPicture) -> Path:
    data, ending = encoded
    names = FileNames(picture.making.request.file_names)
    drawn = Drawn(picture.making, picture.model, picture.at, *picture.image.size)
    folder = output / names.folder(drawn)
    folder.mkdir(parents=True, exist_ok=True)
    with os.scandir(folder) as entries:
        number = 1 + max((names.number_of(entry.name) for entry in entries), default=0)
    return write_new(folder, lambda taken: names.name(drawn, number + taken) + ending, data)


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
    texts = read_picture_texts(path).texts
    return texts.get(INFOTEXT) or texts.get("UserComment")
