"""LoRA files that were not read before, made of ones that were."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import count
from pathlib import Path

from engine.protocol.refs import LoraRef

CAN_DROP_PAGES = hasattr(os, "posix_fadvise")
"""Whether the page cache can be told to forget a file (Linux)."""


class ColdFiles:
    """Gives a file under a new name each time, so that the cache of LoRAs does not know it.

    The names are links in a folder of their own; the files stay as they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)

    def of(self, ref: LoraRef, *, on_disk: bool) -> LoraRef:
        """The same LoRA, unknown; `on_disk` drops it from the page cache too.

        A file in a file system that lives in memory stays there.
        """
        path = ref.path.resolve()
        if on_disk:
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        link = self._folder / f"cold-{next(self._numbers)}.safetensors"
        link.symlink_to(path)
        return replace(ref, path=link)
