"""What a word that is being written may become: a LoRA's tag, an embedding, a wildcard."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.library.entry import LibraryEntry
from engine.words.clean import clean_line
from engine.words.lora_tags import writable_name

MOST = 50
"""Suggestions at a time."""
MOST_FILES = 5_000
"""Of one folder; what lies behind is not suggested."""
_TAG = re.compile(r"<(?:lora|lyco):([^<>:]*)$", re.IGNORECASE)
_WILDCARD = re.compile(r"__([\w/.-]*?)$")
_WORD = re.compile(r"[\w.-]{2,}$")
_EMBEDDINGS = (".safetensors", ".pt", ".bin")


@dataclass(frozen=True)
class Suggestion:
    """A text to put in the place of the last `replaces` characters."""

    words: str
    text: str
    replaces: int


class Completion:
    """Suggests by what stands before the cursor.

    `find_loras` looks through the library. Folders are read once, by `read_folders`.
    """

    def __init__(self, find_loras: Callable[[str], Sequence[LibraryEntry]]) -> None:
        self._find_loras = find_loras
        self._embeddings: list[str] = []
        self._wildcards: list[str] = []

    def read_folders(self, embeddings: Iterable[Path], wildcards: Path | None) -> None:
        """Learn the names of embeddings and wildcards; for a thread."""
        names = (name for folder in embeddings for name in _names(folder, _EMBEDDINGS))
        self._embeddings = sorted({name.rpartition("/")[2] for name in names})
        self._wildcards = sorted(_names(wildcards, (".txt",))) if wildcards else []

    def suggest(self, before: str) -> list[Suggestion]:
        """What may be meant at the end of `before`, best first."""
        if tag := _TAG.search(before):
            entries = self._find_loras(tag[1])[:MOST]
            return [self._lora(entry, len(tag[0])) for entry in entries]
        if wildcard := _WILDCARD.search(before):
            names = _like(wildcard[1], self._wildcards)
            return [Suggestion(name, f"__{name}__", len(wildcard[0])) for name in names]
        if word := _WORD.search(before):
            names = _like(word[0], self._embeddings, is_start=True)
            names = [name for name in names if name.casefold() != word[0].casefold()]
            return [Suggestion(name, name, len(word[0])) for name in names]
        return []

    def _lora(self, entry: LibraryEntry, replaces: int) -> Suggestion:
        name = writable_name(entry.name)
        strength = f"{entry.preferred_strength or 1.0:g}"
        words = f"{clean_line(entry.key.removesuffix('.safetensors'))} {strength}"
        return Suggestion(words, f"<lora:{name}:{strength}>", replaces)


def _like(written: str, names: Iterable[str], *, is_start: bool = False) -> list[str]:
    """Names that begin with what is written, then those that hold it."""
    low = written.casefold()
    first = [name for name in names if name.casefold().startswith(low)]
    if is_start:
        return first[:MOST]
    return (first + [name for name in names if low in name.casefold() and name not in first])[:MOST]


def _names(folder: Path, endings: tuple[str, ...]) -> list[str]:
    """Files below a folder, as paths from it without their endings; none where it is unreadable."""
    found: list[str] = []
    for root, _, files in os.walk(folder):
        for name in files:
            if name.lower().endswith(endings):
                path = Path(root, name).relative_to(folder).with_suffix("")
                found.append(path.as_posix())
        if len(found) > MOST_FILES:
            break
    return found
