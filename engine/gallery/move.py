"""Move a picture into another folder; the store follows it."""

from __future__ import annotations

import logging
from pathlib import Path

from engine.errors import EngineError, StoreError
from engine.files.saving import in_words, write_new
from engine.store.database import Database
from engine.store.pictures import PICTURES, PictureStore

log = logging.getLogger(__name__)


def move_picture(path: Path, folder: Path, store: Path) -> Path | None:
    """Move it, never in place of another; its new path, None where it is there no more.

    It is whole in one place or the other, whatever happens. Raises `EngineError` where the folder
    does not take it.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {in_words(error)}.") from error

    def name(taken: int) -> str:
        return path.name if not taken else f"{path.stem}-{taken + 1}{path.suffix}"

    try:
        moved = write_new(folder, name, data)
    except OSError as error:
        raise EngineError(f"The picture was not saved in {folder}: {in_words(error)}.") from error
    try:
        with Database(store, PICTURES) as database:
            PictureStore(database).follow(path, moved)
        path.unlink(missing_ok=True)
    except (StoreError, OSError) as error:
        # The gallery finds it by itself; a copy that is left is lost with other temporary files.
        log.warning("%s is moved, but: %s", path, error)
    return moved
