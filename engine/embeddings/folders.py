"""The files of textual inversions in the user's folders, by the names prompts use; no torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from engine.embeddings.words import split_at_names
from engine.words.prompt import parse_prompt

ENDING = ".safetensors"
PICKLES = (".pt", ".bin", ".pth", ".ckpt")


def named_files(folders: Sequence[Path], warnings: list[str]) -> Iterator[tuple[str, Path]]:
    """Names with their files; of a name that comes twice the first counts.

    A path below a folder names one file and so goes first; then come the bare names.
    """
    files = [(folder, path) for folder in folders for path in _list(folder, warnings)]
    for folder, path in files:
        yield path.relative_to(folder).with_suffix("").as_posix().lower(), path
    for _, path in files:
        yield path.stem.lower(), path


def second_file(path: Path) -> Path | None:
    """The file with the second text encoder's vectors, as diffusers' training writes it."""
    second = path.with_name(f"{path.stem}_2{path.suffix}")
    return second if second.is_file() else None


def names_in(texts: Iterable[str], names: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Names in prompts, each with whether there is such an inversion."""
    known = list(names)
    for text in texts:
        for part in parse_prompt(text).parts:
            for piece in part:
                for item in split_at_names(piece.text, known):
                    if not isinstance(item, str):
                        yield item.name, item.known


def _list(folder: Path, warnings: list[str]) -> list[Path]:
    """Files of inversions below a folder, sorted; a pickle only where there is no safetensors."""

    def unreadable(error: OSError) -> None:
        warnings.append(f"{error.filename}: cannot be searched for embeddings ({error.strerror}).")

    found: list[Path] = []
    for parent, _, names in os.walk(folder, onerror=unreadable):
        stems = {Path(name).stem for name in names if name.lower().endswith(ENDING)}
        for name in names:
            path = Path(parent, name)
            ending = path.suffix.lower()
            if ending == ENDING or (ending in PICKLES and path.stem not in stems):
                found.append(path)
    return sorted(found)
