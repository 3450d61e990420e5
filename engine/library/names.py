"""From the names people write to the files of a library: `neon`, `styles/neon`."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from posixpath import basename
from typing import Generic, Protocol, TypeVar

from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from engine.protocol.refs import LoraRef
from engine.words.clean import clean_line
from engine.words.lora_tags import writable_name

ENDING = ".safetensors"
_MAX_CANDIDATES = 10


class InLibrary(Protocol):
    """A LoRA file with the library folder it was found under."""

    @property
    def path(self) -> Path: ...

    @property
    def root(self) -> Path: ...


File = TypeVar("File", bound=InLibrary)


class LibraryNames(Generic[File]):
    """The files of a library by name: the path below the library folder, or the bare name.

    A name counts as it is written, then in one Unicode form (Macs store é as two characters),
    then in any case, then as screens and tags show it, without the characters that end a tag.
    Compatible characters (`ﬁ` and `fi`, `²` and `2`) stay different: they name different files.
    """

    def __init__(self, called: Callable[[str], Sequence[File]]) -> None:
        """`called` gives the files whose bare name is this one in its loosest form."""
        self._files_called = called

    @classmethod
    def of(cls, files: Iterable[File]) -> LibraryNames[File]:
        """Of files that are all at hand."""
        by_name: dict[str, list[File]] = {}
        for file in files:
            by_name.setdefault(_loose(_bare(file)), []).append(file)
        return cls(lambda loose: by_name.get(loose, []))

    def find(self, name: str) -> File | None:
        """The file meant; None for none. Raises `EngineError` for a name that several files have.

        The ending may be there or not; `\\` between folders is read as `/` where nothing else is
        meant.
        """
        for written in dict.fromkeys((name, name.replace("\\", "/"))):
            for wanted in dict.fromkeys((without_ending(written), written)):
                if found := self._called(wanted):
                    return only(name, found)
        return None

    def _called(self, wanted: str) -> list[File]:
        """The files that have a name in the strictest way in which any has it."""
        near = self._files_called(_loose(basename(wanted)))
        ways: tuple[tuple[Callable[[str], str], Callable[[File], str]], ...] = (
            (str, library_key),
            (_composed, library_key),
            (_composed, _rooted_key),
            (_composed, _whole),
            (_composed, _bare),
            (_folded, library_key),
            (_folded, _rooted_key),
            (_folded, _bare),
            (_loose, library_key),
            (_loose, _rooted_key),
            (_loose, _bare),
        )
        for form, spelled in ways:
            if found := [file for file in near if form(spelled(file)) == form(wanted)]:
                return found
        return []

    def written(self, path: Path) -> str:
        """The shortest name by which a tag finds the file of this path: `neon`, else `styles/neon`.

        A file that is not in the library is told from those that are by its folder's name.
        """
        stem = path.name.removesuffix(ENDING)
        near = self._files_called(_loose(stem))
        own = next((file for file in near if file.path == path), None)
        if own is None:
            return f"{path.parent.name}/{stem}" if near else stem
        names = (stem, library_key(own), _rooted_key(own))
        return next((name for name in names if self._means(name, own)), stem)

    def _means(self, name: str, file: File) -> bool:
        try:
            found = self.find(writable_name(name))
            return found is not None and found.path == file.path
        except EngineError:
            return False


class NamedFiles(Protocol):
    """A library that finds its files by name."""

    @property
    def names(self) -> LibraryNames[LibraryEntry]:
        """By their own."""

    def trained_as(self, name: str) -> LibraryEntry | None:
        """By what the trainer called it; see `find_output_name`."""


class NamedEntries:
    """Such a library of entries that are all at hand."""

    def __init__(self, entries: Iterable[LibraryEntry] = ()) -> None:
        self._entries = tuple(entries)
        self.names = LibraryNames.of(self._entries)

    def trained_as(self, name: str) -> LibraryEntry | None:
        """The file that its trainer called so."""
        return find_output_name(name, self._entries)


def names_for_tags(
    stack: Iterable[LoraRef], names: LibraryNames[File]
) -> tuple[tuple[str, str], ...]:
    """Paths with the names for their tags, where the file's own name alone means another as well.

    What a picture's infotext calls them, so that its tags find the same files again.
    """
    written = {str(ref.path): names.written(Path(ref.path)) for ref in stack}
    return tuple((path, name) for path, name in written.items() if name != Path(path).stem)


def find_output_name(name: str, entries: Iterable[LibraryEntry]) -> LibraryEntry | None:
    """The file whose trainer called it so (`ss_output_name`), by which A1111 knows it too.

    Raises `EngineError` where several are called so: copies and renamed files keep that name.
    """
    wanted = folded_name(name)
    called = [entry for entry in entries if output_name(entry) == wanted]
    return only(name, called) if wanted else None


def output_name(entry: LibraryEntry) -> str:
    """What the trainer called the file, without regard to case; empty where nothing says it."""
    name = next((value for key, value in entry.metadata if key == "ss_output_name"), "")
    return folded_name(name)


def folded_name(name: str) -> str:
    """A name without its ending and without regard to case."""
    return _folded(without_ending(name))


def loose_name(name: str) -> str:
    """A bare name in its loosest form: as screens and tags show it, without its ending."""
    return _loose(without_ending(name))


def only(name: str, found: Sequence[File]) -> File | None:
    """The one file that a name may mean; None for none, `EngineError` for several."""
    if len(found) > 1:
        raise EngineError(_ambiguous(name, found))
    return found[0] if found else None


def library_key(file: InLibrary) -> str:
    """A file's path below its library folder, without the ending, with forward slashes."""
    # As text: ten thousand paths of pathlib take a third of a second.
    return without_ending(str(file.path).removeprefix(str(file.root)).lstrip("/"))


def without_ending(name: str) -> str:
    """A name without `.safetensors`, in whatever case that is written."""
    return name[: -len(ENDING)] if name.lower().endswith(ENDING) else name


def _rooted_key(file: InLibrary) -> str:
    """The same below the name of the library folder, as lists of several folders show it."""
    return f"{file.root.name}/{library_key(file)}"


def _whole(file: InLibrary) -> str:
    return without_ending(str(file.path))


def _bare(file: InLibrary) -> str:
    return basename(library_key(file))


def _composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    # Not `casefold`: it writes the ligature ﬁ as fi, ß as ss.
    return _composed(_composed(name).lower())


def _loose(name: str) -> str:
    """Of each name of a path: as it is shown, without what ends a tag, in lower case."""
    if "/" in name:
        return "/".join(map(_loose, name.split("/")))
    return _folded(clean_line(writable_name(name)))


def _ambiguous(name: str, found: Sequence[InLibrary]) -> str:
    keys = [library_key(file) for file in found]
    # Two folders may hold files of the same relative path; then only whole paths tell.
    if len(set(keys)) < len(keys):
        keys = [str(file.path) for file in found]
    if len(set(map(_composed, keys))) < len(keys):
        # They look the same, and only their bytes tell.
        keys = [f"{key} ({'NFC' if key == _composed(key) else 'NFD'})" for key in keys]
    more = f" and {len(keys) - _MAX_CANDIDATES} more" if len(keys) > _MAX_CANDIDATES else ""
    return f"“{name}” may mean {', '.join(keys[:_MAX_CANDIDATES])}{more}: write the one you mean."
