"""The user's own words about the files of an index: found by hash, said, and taken back."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from engine.errors import EngineError, StoreError
from engine.files.file_version import FileVersion
from engine.files.hashes import FileHashes
from engine.library.entry import LibraryEntry
from engine.library.hash_table import HashTable
from engine.library.list_row import file_id
from engine.library.own import Own
from engine.store.lora_words import NO_WORDS, LoraWords
from engine.store.loras import LoraStore, path_key, tensors_key

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Edit:
    """What was said of a file before, so that it can be said again."""

    entry: LibraryEntry
    before: LoraWords


class OwnWords:
    """Joins the store's words with the files that they are about.

    A file's words are kept under the hash of its tensors as soon as `hash` has found that out.
    """

    def __init__(self, store: LoraStore, hashes: HashTable) -> None:
        self._store = store
        self._hashes = hashes

    def of(self, entry: LibraryEntry) -> LoraWords:
        """What is said of a file."""
        return self._store.words(self._key(entry.path))

    def say(self, entry: LibraryEntry, words: LoraWords) -> Edit:
        """Say it from now on; gives what takes it back. Raises `StoreError`."""
        key = self._key(entry.path)
        before = self._store.words(key)
        self._store.put(key, entry.size, words)
        return Edit(entry, before)

    def count_use(self, paths: Iterable[Path], when: float) -> None:
        """Count one more use of files. Raises `StoreError`."""
        self._store.count_use(((self._key(path), _size(path)) for path in paths), when)

    def hash(self, path: Path) -> FileHashes | None:
        """The hashes of a file, from now on the key of its words; None where it cannot be read."""
        try:
            hashes = self._hashes.hashes(path)
        except (OSError, ValueError, EngineError):
            return None
        if hashes is None:
            return None  # it was written to meanwhile
        try:
            self._store.rekey(path_key(path), tensors_key(hashes.tensors_sha256))
        except StoreError as error:
            log.warning("the words stay under the path: %s", error)
        return hashes

    def lost_sizes(self) -> set[int]:
        """The sizes of files with words that are not where they were: they may have been moved."""
        by_hash: defaultdict[str, list[Path]] = defaultdict(list)
        for path, (_, tensors) in self._hashes.all().items():
            by_hash[tensors].append(path)
        return {
            size
            for key, (size, _) in self._store.all().items()
            if not any(path.exists() for path in _paths_of(key, by_hash))
        }

    def without_hash(self) -> list[Path]:
        """Files with words that are still known by their path alone."""
        keys = (key for key in self._store.all() if key.startswith("path:"))
        return [path for key in keys if (path := Path(key.removeprefix("path:"))).exists()]

    def overlay(self, roots: Iterable[Path]) -> dict[int, Own]:
        """What the list has to know, by the ids of the files of some library folders."""
        roots = tuple(roots)
        by_hash: defaultdict[str, list[Path]] = defaultdict(list)
        for path, (version, tensors) in self._hashes.all().items():
            if self._hashes.is_version(path, version):
                by_hash[tensors].append(path)
        found: dict[int, Own] = {}
        for key, (_, words) in self._store.all().items():
            for path in _paths_of(key, by_hash):
                found.update((id, _own(words)) for id in _ids(path, roots))
        for paths in by_hash.values():
            if len(paths) > 1:
                for id in (id for path in paths for id in _ids(path, roots)):
                    found[id] = _as_duplicate(found.get(id, Own()))
        return found

    def tensors_of(self, path: Path) -> str:
        """The hash of a file's tensors where it is known; empty where it is not."""
        try:
            hashes = self._hashes.find(path, FileVersion.of(path))
        except OSError:
            return ""
        return hashes.tensors_sha256 if hashes else ""

    def with_tensors(self, tensors_sha256: str) -> Path | None:
        """A file with these tensors, among those whose hashes are known."""
        return self._hashes.with_hash(tensors_sha256)

    def _key(self, path: Path) -> str:
        tensors = self.tensors_of(path)
        return tensors_key(tensors) if tensors else path_key(path)


def duplicates(hashes: Mapping[Path, FileHashes]) -> list[list[Path]]:
    """Groups of files with the same tensors, each sorted by path."""
    counts = Counter(found.tensors_sha256 for found in hashes.values())
    groups: defaultdict[str, list[Path]] = defaultdict(list)
    for path, found in hashes.items():
        if counts[found.tensors_sha256] > 1:
            groups[found.tensors_sha256].append(path)
    return sorted(sorted(paths) for paths in groups.values())


def _paths_of(key: str, by_hash: Mapping[str, list[Path]]) -> list[Path]:
    if key.startswith("path:"):
        return [Path(key.removeprefix("path:"))]
    return by_hash.get(key.removeprefix("tensors:"), [])


def _ids(path: Path, roots: Iterable[Path]) -> list[int]:
    return [file_id(root, path) for root in roots if path.is_relative_to(root)]


def _own(words: LoraWords) -> Own:
    return Own(**structs.asdict(words))


def _as_duplicate(own: Own) -> Own:
    return structs.replace(own, is_duplicate=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


__all__ = ["NO_WORDS", "Edit", "LoraWords", "OwnWords", "duplicates"]
