"""The pictures that were drawn to be looked at: a folder of bounded size, by what they show."""

from __future__ import annotations

import io
import logging
import os
import time
import uuid
from contextlib import suppress
from pathlib import Path

from PIL import Image

from engine.errors import EngineError
from engine.files.saving import in_words

log = logging.getLogger(__name__)

MOST_BYTES = 1 << 30
_LEFT = 0.9
"""What is left of the bound when the cache has become too large: not each picture clears up."""


class AuditionCache:
    """PNGs by their content key; those not looked at for longest are dropped first."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._bytes: int | None = None

    def find(self, key: str) -> Path | None:
        """The picture of a key, if it was drawn before."""
        path = self._folder / f"{key}.png"
        try:
            if not _is_whole(path):
                return None
            # Finer than the system's own, which is the same for some milliseconds.
            os.utime(path, ns=(time.time_ns(),) * 2)
        except OSError:
            return None
        return path

    def keep(self, image: Image.Image, key: str | None) -> Path:
        """Write a picture; without a key it is not found again. Raises `EngineError`."""
        file = io.BytesIO()
        image.save(file, "PNG", compress_level=1)
        data = file.getvalue()
        path = self._folder / f"{key or f'other-{uuid.uuid4().hex}'}.png"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # No harm is done if it is lost, so nobody waits until it has reached the disk.
            unfinished = path.with_suffix(f".{os.getpid()}.tmp")
            unfinished.write_bytes(data)
            unfinished.replace(path)
            self._make_room(len(data))
        except OSError as error:
            raise EngineError(
                f"The picture cannot be kept in {self._folder}: {in_words(error)}."
            ) from error
        return path

    def name(self, path: Path, key: str) -> None:
        """Let a picture that was kept without a key be found by this one too."""
        with suppress(OSError):  # then it is drawn again
            (self._folder / f"{key}.png").hardlink_to(path)

    def _make_room(self, written: int) -> None:
        if self._bytes is None:
            self._bytes = sum(size for _, size, _ in self._files())
        else:
            self._bytes += written
        if self._bytes <= self._most_bytes:
            return
        files = sorted(self._files())
        self._bytes = sum(size for _, size, _ in files)
        # The newest one is about to be shown.
        for _, size, path in files[:-1]:
            if self._bytes <= self._most_bytes * _LEFT:
                break
            path.unlink(missing_ok=True)
            self._bytes -= size

    def _files(self) -> list[tuple[int, int, Path]]:
        """When each was looked at last, its size and its path."""
        with os.scandir(self._folder) as entries:
            found = [(entry.stat(), Path(entry)) for entry in entries if entry.name[-4:] == ".png"]
        return [(status.st_mtime_ns, status.st_size, path) for status, path in found]


_END = b"\0\0\0\0IEND\xaeB`\x82"


def _is_whole(path: Path) -> bool:
    """Whether a PNG has its end; a loss of power may have taken it. Raises OSError."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(_END)))
        return file.read() == _END
