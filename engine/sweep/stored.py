"""The store's row of a cell: its picture was drawn to a place of a moment, and lies elsewhere."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from engine.errors import StoreError
from engine.protocol.making import encode_making
from engine.store.database import Database
from engine.store.pictures import PICTURES, PictureStore, StoredPicture
from engine.sweep.marked import making_of, size_of

log = logging.getLogger(__name__)


class StoredCells:
    """Keeps the store in line with a sweep's folder; without a store it does nothing.

    A store that fails costs no cell: the gallery finds the file by itself.
    """

    def __init__(self, store: Path | None) -> None:
        self._store = store

    def put(self, path: Path, former: Path | None, png: bytes) -> None:
        """A cell lies at `path` now, and no longer where it was drawn."""
        making = making_of(png)
        if self._store is None or making is None:
            return
        width, height = size_of(png)
        request, proof = making.picture, making.certificate
        members = (*making.stack, *request.own_loras)
        try:
            status = path.stat()
            picture = StoredPicture(
                path,
                time.time(),
                status.st_mtime_ns,
                status.st_size,
                width,
                height,
                program="loraswitch",
                model=Path(proof.model).stem if proof is not None else "",
                seed=request.seed,
                prompt=request.prompt,
                loras=tuple(dict.fromkeys(ref.name for ref in members)),
                making=encode_making(making),
            )
            with Database(self._store, PICTURES) as database:
                PictureStore(database).move(former, picture)
        except (StoreError, OSError) as error:
            log.warning("a cell is not in the store: %s", error)
