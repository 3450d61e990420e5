"""The folders of a library, in the order and by the names that a tree shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from engine.library.list_row import Folder, natural_key


class Place(NamedTuple):
    """A folder, with the number of its first row and of the one behind its last."""

    folder: Folder
    start: int
    end: int


def root_labels(roots: Iterable[Path]) -> dict[Path, str]:
    """A name for each library folder, told apart from others of its name by what lies above."""
    labels: dict[Path, str] = {}
    for root in (all_roots := set(roots)):
        parts = root.parts
        others = [other.parts for other in all_roots if other != root]
        length = next(
            (n for n in range(1, len(parts)) if all(other[-n:] != parts[-n:] for other in others)),
            len(parts),
        )
        labels[root] = str(Path(*parts[-length:])) if parts else str(root)
    return labels


def tree_key(folder: Folder, labels: Mapping[Path, str]) -> tuple[str, ...]:
    """Orders folders as a tree shows them: what lies in a folder stands before its own files."""
    names = folder.path.split("/") if folder.path else []
    return (*map(natural_key, (labels[folder.root], *names)), "\U0010ffff")
