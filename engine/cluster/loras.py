"""LoRA files on a node: those of a shared folder where they are the same, else copies by hash."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError, FileFormatError
from engine.files.regular_file import printable, read_regular
from engine.files.saving import in_words, replace_file
from engine.lora.peft_config import MAX_CONFIG_BYTES, companion
from engine.proof.contents import FileContents
from engine.protocol.refs import LoraRef

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGEST = 64 << 30
Bundle = Mapping[str, bytes]
"""The files of one LoRA by their names: its own, and PEFT's settings where they stand beside it."""

Packed = Mapping[str, "NDArray[np.uint8]"]


@dataclass(frozen=True)
class Wanted:
    """A member of a stack with the digest of what is to be in its file."""

    ref: LoraRef
    content: str


def bundle(path: Path) -> Bundle:
    """Read the files of a LoRA; raises `FileFormatError`."""
    files = {path.name: read_regular(path, LARGEST)}
    if (config := companion(path)) is not None:
        files[config.name] = read_regular(config, MAX_CONFIG_BYTES)
    return files


def packed(files: Bundle) -> Packed:
    """Files for Ray, which sends arrays as they are, and copies bytes several times."""
    import numpy as np

    return {name: np.frombuffer(data, np.uint8) for name, data in files.items()}


def unpacked(files: Packed) -> Bundle:
    """What `packed` was given."""
    return {name: data.tobytes() for name, data in files.items()}


class NodeLoras:
    """Finds the file of each LoRA on this node, or makes a copy of it once.

    `fetch` gives the files of a digest from the one who hands out the work.
    """

    def __init__(self, cache: Path, contents: FileContents, fetch: Callable[[str], Bundle]) -> None:
        self._cache = cache
        self._contents = contents
        self._fetch = fetch
        self.bytes_fetched = 0

    def here(self, wanted: Wanted) -> LoraRef:
        """The member with a file of this node that holds what is wanted.

        Raises `EngineError` where what was fetched is something else.
        """
        place = self._cache / wanted.content / wanted.ref.path.name
        for path in (wanted.ref.path, place):
            if self._is(path, wanted.content):
                return replace_path(wanted.ref, path)
        with self._alone(place.parent):
            return self._fetched(wanted, place)

    def _fetched(self, wanted: Wanted, place: Path) -> LoraRef:
        if self._is(place, wanted.content):
            return replace_path(wanted.ref, place)  # Another worker of this node was quicker.
        files = self._fetch(wanted.content)
        try:
            for name, data in files.items():
                replace_file(place.with_name(name), data)
        except OSError as error:
            raise EngineError(
                f"{printable(place)}: a LoRA cannot be kept on this node ({in_words(error)})."
            ) from error
        self.bytes_fetched += sum(map(len, files.values()))
        if not self._is(place, wanted.content):
            raise EngineError(f"{printable(place.name)}: what this node was sent is another file.")
        return replace_path(wanted.ref, place)

    @contextmanager
    def _alone(self, folder: Path) -> Iterator[None]:
        """Keep the other workers of this node from fetching the same."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise EngineError(f"{printable(folder)}: {in_words(error)}.") from error
        try:
            with suppress(OSError):  # Where locks do not work, it is fetched twice.
                fcntl.flock(number, fcntl.LOCK_EX)
            yield
        finally:
            os.close(number)

    def _is(self, path: Path, content: str) -> bool:
        try:
            return self._contents.lora(path) == content
        except FileFormatError:
            return False


def replace_path(ref: LoraRef, path: Path) -> LoraRef:
    """The same member with its file at another place."""
    return ref if ref.path == path else replace(ref, path=path)
