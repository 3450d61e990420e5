"""Small pictures, made once and kept in the cache folder up to a bound."""

from __future__ import annotations

import hashlib
import io
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import FileFormatError
from engine.files.picture_file import picture_of
from engine.files.picture_pixels import on_ground, upright

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

SIDE = 96
"""Pixels of the longer side: four times what the smallest cells show."""
MOST_BYTES = 64 << 20
_QUALITY = 80


class Thumbnails:
    """Thumbnails of files, by their paths and times of change; any thread may ask."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def small(self, path: Path) -> bytes:
        """A JPEG of the picture. Raises `FileFormatError` for one that cannot be read."""
        kept = self._place(path)
        if kept is not None:
            try:
                return kept.read_bytes()
            except OSError:
                pass  # not made yet, or no longer there
        data = picture_of(path, _shrunk)
        if kept is not None:
            self._keep(kept, data)
        return data

    def prune(self, most: int = MOST_BYTES) -> int:
        """Delete the oldest until the rest takes no more than that; how many went."""
        if self._folder is None:
            return 0
        found = []
        for path in self._folder.glob("??/*.jpg"):
            try:
                status = path.stat()
            except OSError:
                continue
            found.append((status.st_mtime_ns, status.st_size, path))
        total, gone = sum(size for _, size, _ in found), 0
        for _, size, path in sorted(found):
            if total <= most:
                break
            path.unlink(missing_ok=True)
            total, gone = total - size, gone + 1
        return gone

    def _place(self, path: Path) -> Path | None:
        """Where a thumbnail lies; another version of the file has another place."""
        if self._folder is None:
            return None
        try:
            status = path.stat()
        except OSError as error:
            raise FileFormatError(f"{path.name}: there is no such file.") from error
        key = f"{status.st_mtime_ns}:{status.st_size}:".encode() + os.fsencode(path)
        name = hashlib.sha256(key).hexdigest()[:32]
        return self._folder / name[:2] / f"{name}.jpg"

    def _keep(self, kept: Path, data: bytes) -> None:
        # No harm is done if it is lost: it need not reach the disk before anything else.
        unfinished = kept.with_suffix(f".{os.getpid()}.tmp")
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(data)
            unfinished.replace(kept)
        except OSError as error:
            log.info("a thumbnail is not kept: %s", error)


def _shrunk(image: Image) -> bytes:
    image.draft("RGB", (SIDE, SIDE))
    small = upright(image)
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    on_ground(small).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
