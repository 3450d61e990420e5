"""What a host, or a process that draws by itself, puts into the store of each picture."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from engine.errors import StoreError
from engine.protocol.making import Making, encode_making
from engine.store.database import Database
from engine.store.pictures import PICTURES, PictureStore, StoredPicture
from engine.store.prompts import PROMPTS, PromptStore

log = logging.getLogger(__name__)


class DrawnPictures:
    """Records pictures as they are drawn, and their prompts; opened at the first one.

    A store that fails costs no picture: what is wrong is said once, and the gallery finds the file
    by itself.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._database: Database | None = None
        self._lock = threading.Lock()
        self._last_prompt: tuple[str, str] | None = None

    def record(
        self, path: Path, at: float, size: tuple[int, int], making: Making, model: str
    ) -> str:
        """Put in a picture that lies on disk; the sentence that says why not, or nothing."""
        if self._path is None:
            return ""
        try:
            with self._lock:
                return self._record(self._path, path, at, size, making, model)
        except (StoreError, OSError) as error:
            log.warning("a picture is not in the store: %s", error)
            return f"The picture is saved, but the store does not know of it: {error}"

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _record(
        self, store: Path, path: Path, at: float, size: tuple[int, int], making: Making, model: str
    ) -> str:
        warning = ""
        if self._database is None:
            self._database = Database(store, PICTURES, PROMPTS)
            warning = self._database.warning
        status = path.stat()
        request = making.picture
        members = (*making.stack, *request.own_loras)
        picture = StoredPicture(
            path,
            at,
            status.st_mtime_ns,
            status.st_size,
            *size,
            program="loraswitch",
            model=model,
            seed=request.seed,
            prompt=request.prompt,
            loras=tuple(dict.fromkeys(ref.name for ref in members)),
            making=encode_making(making),
        )
        PictureStore(self._database).record([picture])
        words = (request.prompt, request.negative_prompt)
        if words != self._last_prompt:
            PromptStore(self._database).use(*words, at)
            self._last_prompt = words
        return warning
