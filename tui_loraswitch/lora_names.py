"""From the names people write to the files of a library: `neon`, `styles/neon`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from engine.errors import EngineError

ENDING = ".safetensors"
_MAX_CANDIDATES = 10


class InLibrary(Protocol):
    """A LoRA file with the library folder it was found under."""

    @property
    def path(self) -> Path: ...

    @property
    def root(self) -> Path: ...


File = TypeVar("File", bound=InLibrary)


def find_named(name: str, files: Iterable[File]) -> File | None:
    """The file meant: by path below its folder, by stem, then both in any case; None for none.

    Raises `EngineError` for a name that several files have.
    """
    wanted = name.removesuffix(ENDING)
    folded = wanted.casefold()
    # A path ends in the stem: all but a few files are out by that alone.
    stem = folded.rpartition("/")[2]
    near = [file for file in files if file.path.stem.casefold() == stem]
    ways: tuple[Callable[[File], bool], ...] = (
        lambda file: library_key(file) == wanted,
        lambda file: file.path.stem == wanted,
        lambda file: library_key(file).casefold() == folded,
        lambda file: file.path.stem.casefold() == folded,
    )
    for is_meant in ways:
        found = list(filter(is_meant, near))
        if len(found) > 1:
            raise EngineError(_ambiguous(name, found))
        if found:
            return found[0]
    return None


def library_key(file: InLibrary) -> str:
    """A file's path below its library folder, without the ending, with forward slashes."""
    return file.path.relative_to(file.root).with_suffix("").as_posix()


def _ambiguous(name: str, found: Sequence[InLibrary]) -> str:
    keys = [library_key(file) for file in found]
    # Two folders may hold files of the same relative path; then only whole paths tell.
    shown = keys if len(set(keys)) == len(keys) else [str(file.path) for file in found]
    more = f" and {len(shown) - _MAX_CANDIDATES} more" if len(shown) > _MAX_CANDIDATES else ""
    return f"“{name}” may mean {', '.join(shown[:_MAX_CANDIDATES])}{more}: write the one you mean."
