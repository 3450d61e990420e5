"""What the gallery asks of the store and of the disk, each away from the screen's thread."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.files.file_version import FileVersion
from engine.files.picture_file import picture_of
from engine.files.picture_pixels import on_ground, upright
from engine.files.regular_file import printable
from engine.files.saving import in_words, replace_file
from engine.files.trash import to_trash
from engine.gallery.scan import ScanReport, scan_pictures
from engine.store.database import Database
from engine.store.pictures import PICTURES, PictureRows, PictureSearch, PictureStore

if TYPE_CHECKING:
    from PIL.Image import Image

_PREVIEW_SIDE = 512


class GalleryRecords:
    """The pictures of some folders; opened at the first use. The methods raise `EngineError`."""

    def __init__(self, store: Path, folders: tuple[Path, ...]) -> None:
        self._path = store
        self._folders = folders
        self._database: Database | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._changing = threading.Lock()
        """One thing at a time is done to files or taken back: each key has a thread of its own."""
        self._undo: list[Callable[[], str]] = []
        """Each takes one thing back and says so; the last comes first."""

    @property
    def warning(self) -> str:
        """What was wrong with the store; empty when all is well."""
        return self._database.warning if self._database is not None else ""

    def find(self, search: PictureSearch) -> PictureRows:
        """Those that are wanted, newest first."""
        return self._store.find(search)

    def scan(self, on_change: Callable[[ScanReport], object]) -> ScanReport:
        """Look for new, changed and lost files."""
        return scan_pictures(self._store, self._folders, on_change, self._stopped.is_set)

    def set_favourite(self, path: Path, favourite: bool) -> None:
        """Mark a picture, or take the mark away."""
        self._store.set_favourite(path, favourite)

    def throw_away(self, path: Path) -> None:
        """Put a picture into the trash."""

        def take_back() -> str:
            trashed.restore()
            self._store.set_gone([path], gone=False)
            return f"{path.name} is back"

        with self._changing:
            trashed = to_trash(path)
            self._store.set_gone([path])
            self._undo.append(take_back)

    def write_preview(self, picture: Path, lora: Path) -> None:
        """Make a picture the preview of a LoRA; the one of before goes into the trash."""
        place = preview_place(lora)

        def take_back() -> str:
            from engine.sweep.previews import remove_previews

            remove_previews({place: written})
            if place.exists():
                raise EngineError(f"{printable(place)}: another file is there now.")
            if before is not None:
                before.restore()
            return f"the preview of {lora.stem} is taken back"

        with self._changing:
            before = to_trash(place) if place.exists() else None
            try:
                written = FileVersion.of(write_preview(picture, lora))
            except (EngineError, OSError):
                if before is not None:
                    before.restore()
                raise
            self._undo.append(take_back)

    def take_back(self) -> str:
        """Undo the last of both, and say what is so again; empty where nothing was done."""
        with self._changing:
            if not self._undo:
                return ""
            step = self._undo.pop()
            try:
                return step()
            except EngineError:
                # The others can be taken back before it is tried again.
                self._undo.insert(0, step)
                raise

    def close(self) -> None:
        """Stop what is going on. The file is closed when that has ended."""
        self._stopped.set()

    @property
    def _store(self) -> PictureStore:
        with self._lock:
            if self._database is None:
                self._database = Database(self._path, PICTURES)
            return PictureStore(self._database)


def preview_place(lora: Path) -> Path:
    """Where a LoRA's preview lies."""
    return lora.with_suffix(".preview.png")


def write_preview(picture: Path, lora: Path) -> Path:
    """Make a picture the preview of a LoRA, of at most 512 pixels a side and nothing else in it."""

    def shrunk(image: Image) -> bytes:
        small = on_ground(upright(image))
        small.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE))
        file = io.BytesIO()
        small.save(file, "PNG")
        return file.getvalue()

    place = preview_place(lora)
    try:
        replace_file(place, picture_of(picture, shrunk))
    except OSError as error:
        raise EngineError(f"{place}: the preview was not written ({in_words(error)}).") from error
    return place
