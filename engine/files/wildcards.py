"""Wildcard files: text files of which one line stands for `__name__` in a prompt."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from engine.errors import EngineError
from engine.files.regular_file import read_regular
from engine.words.prompt_language.notes import quoted

LARGEST_FILE = 16 << 20
_MOST_FILES = 100_000


class Wildcards:
    """The `.txt` files of a folder and its subfolders by their names: `colours`, `birds/small`.

    Without a folder there are none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._read: dict[str, Sequence[str]] = {}

    def lines(self, name: str) -> Sequence[str]:
        """The lines of the files that a name or a pattern (`birds/*`, `**/small`) means.

        Empty lines and those that begin with `#` are passed over. Raises `EngineError` for a name
        that no file has, for files without lines and for those that cannot be read.
        """
        if name not in self._read:
            self._read[name] = self._lines(name)
        return self._read[name]

    def _lines(self, name: str) -> Sequence[str]:
        if self._folder is None:
            raise EngineError(
                f"The prompt names the wildcard {quoted(name)}, and no folder of wildcards is "
                "named: --wildcards FOLDER."
            )
        pattern = PurePosixPath(name.removesuffix(".txt").casefold())
        files = [path for key, path in self._files.items() if _means(pattern, key)]
        if not files:
            close = difflib.get_close_matches(str(pattern), self._files, n=3)
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            raise EngineError(f"There is no wildcard {quoted(name)} in {self._folder}.{hint}")
        lines: list[str] = []
        for path in files:
            lines += self._lines_of(path)
        if not lines:
            raise EngineError(f"The wildcard {quoted(name)} has no lines ({files[0]}).")
        return lines

    @cached_property
    def _files(self) -> dict[str, Path]:
        assert self._folder is not None
        found: dict[str, Path] = {}
        for path in sorted(self._folder.rglob("*.txt")):
            key = path.relative_to(self._folder).with_suffix("").as_posix().casefold()
            found.setdefault(key, path)
            if len(found) > _MOST_FILES:
                raise EngineError(f"{self._folder} has more than {_MOST_FILES:,} wildcards.")
        return found

    def _lines_of(self, path: Path) -> list[str]:
        try:
            text = read_regular(path, LARGEST_FILE).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise EngineError(f"{path}: the wildcard is no UTF-8 text.") from error
        except OSError as error:
            raise EngineError(f"The wildcard cannot be read: {error}") from error
        lines = map(str.strip, text.splitlines())
        return [line for line in lines if line and not line.startswith("#")]


def _means(pattern: PurePosixPath, key: str) -> bool:
    """Whether a pattern means a file; `*` stays in one folder, `**` goes through them."""
    return _match(pattern.parts, tuple(key.split("/")))


def _match(pattern: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    if not pattern:
        return not parts
    first, *rest = pattern
    if first == "**":
        # At the end it stands for the file as well.
        if not rest:
            return bool(parts)
        return any(_match(tuple(rest), parts[n:]) for n in range(len(parts)))
    return bool(parts) and PurePosixPath(parts[0]).match(first) and _match(tuple(rest), parts[1:])
