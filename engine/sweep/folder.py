"""The folder of a sweep: its cells, the record of them, and what was drawn and not yet put there.

The cells' files are the truth: each carries the key of what it was drawn from. `cells.jsonl` says
the same in lines, and is made good from the files whenever the folder is opened.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import EngineError, FileFormatError
from engine.files.hidden_files import hold, sweep
from engine.files.picture_file import MAX_BYTES
from engine.files.regular_file import read_regular
from engine.files.saving import in_words, replace_file
from engine.protocol.refs import LoraRef
from engine.sweep.cells import Cell
from engine.sweep.marked import drawn_key, mark_of, marked
from engine.sweep.stored import StoredCells

ENDING = ".png"
DRAWING = ".drawing"
"""The folder with those that are being drawn."""
_LARGEST_RECORD = 1 << 28
_NEWEST = 8
"""Cells that may have been put in their places and are not recorded yet."""


@dataclass(frozen=True)
class KeyedCell:
    """A cell with the digest of all that its pixels depend on."""

    cell: Cell
    key: str


class SweepFolder:
    """Cells that are drawn, by their keys, and the place for those that are to come.

    One process at a time works in it: what follows is done within `held`. The store, where there is
    one, is told of each cell.
    """

    def __init__(self, path: Path, store: Path | None = None) -> None:
        self.path = path
        self._stored = StoredCells(store)
        self.cells = path / "cells"
        self.record = path / "cells.jsonl"
        self._drawing = path / DRAWING
        self._replaced = path / "replaced"
        self._keys: dict[Path, str] = {}
        self._by_key: dict[str, Path] = {}

    @property
    def id(self) -> str:
        """Tells this folder from others in the ids of jobs."""
        return hashlib.sha256(os.fsencode(os.path.realpath(self.path))).hexdigest()[:12]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder and keep other processes out; raises `EngineError` where one is in it."""
        try:
            self.cells.mkdir(parents=True, exist_ok=True)
            number = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise EngineError(
                f"{self.path}: the cells cannot be written there ({in_words(error)}); "
                "choose another folder."
            ) from error
        try:
            if hold(number) is False:
                raise EngineError(f"{self.path}: another sweep is being drawn into this folder.")
            sweep(self.cells)
            yield
        finally:
            fcntl.flock(number, fcntl.LOCK_UN)
            os.close(number)

    def look(self) -> None:
        """Read which pictures are there, whole, and what they were drawn from."""
        self._keys, self._by_key = {}, {}
        for folder in (self._replaced, self.cells):
            for path in sorted(folder.glob(f"*{ENDING}")):
                if (key := _key_of(path)) is not None:
                    self._know(path, key)

    def drawing(self, key: str) -> Path:
        """The folder into which the picture of a key is drawn, and nothing else."""
        return self._drawing / key

    def find(self, keyed: KeyedCell) -> bool:
        """Whether a cell is drawn; one under another name, or not yet put in its place, is now."""
        if self._keys.get(self.path_of(keyed.cell)) == keyed.key:
            return True
        if (there := self._by_key.get(keyed.key)) is not None:
            with suppress(FileFormatError):
                self._put(keyed, read_regular(there, MAX_BYTES))
                return True
        for picture in sorted(self.drawing(keyed.key).rglob(f"*{ENDING}")):
            with suppress(FileFormatError):
                self.take(keyed, picture)
                return True
        return False

    def take(self, keyed: KeyedCell, picture: Path) -> Path:
        """Put a picture that was drawn for a cell in its place, with its key; returns the path.

        Raises `FileFormatError` for a picture that is not whole, or that is not certified to be
        of this key, and `EngineError` where it cannot be written; then it stays where it is.
        """
        data = read_regular(picture, MAX_BYTES)
        if (drawn := drawn_key(data)) != keyed.key:
            shutil.rmtree(self.drawing(keyed.key), ignore_errors=True)
            raise FileFormatError(
                "It was drawn with something else: the model or a LoRA has changed meanwhile."
                if drawn is not None
                else "Which files it was drawn with is not known, so it is to be drawn again."
            )
        path = self._put(keyed, data, picture)
        shutil.rmtree(self.drawing(keyed.key), ignore_errors=True)
        return path

    def place_of(self, key: str) -> Path | None:
        """Where the picture of a key was put; None where it was not."""
        for line in reversed(self._lines()):
            with suppress(ValueError, KeyError, TypeError):
                fact = json.loads(line)
                if fact["key"] == key:
                    return self.path / str(fact["file"])
        # Its line comes after it: then it is one of the newest.
        there = sorted(self.cells.glob(f"*{ENDING}"), key=_changed, reverse=True)
        return next((path for path in there[:_NEWEST] if _key_of(path) == key), None)

    def tidy(self) -> None:
        """Take away the place of what is being drawn, when nothing is."""
        with suppress(OSError):
            self._drawing.rmdir()

    def _put(self, keyed: KeyedCell, data: bytes, former: Path | None = None) -> Path:
        path = self.path_of(keyed.cell)
        try:
            data = marked(data, keyed.key, self.cells)
            self._keep_former(path, keyed.key)
            replace_file(path, data)
        except OSError as error:
            raise EngineError(
                f"{path}: the cell was not saved: {in_words(error)}. What was drawn stays; start "
                "the same sweep again when there is room."
            ) from error
        self._know(path, keyed.key)
        self._stored.put(path, former, data)
        return path

    def _keep_former(self, path: Path, key: str) -> None:
        """Move a picture aside that has the name of a cell, and was drawn from something else."""
        former = self._keys.get(path)
        if former is not None and former != key:
            self._replaced.mkdir(exist_ok=True)
            kept = self._replaced / f"{path.stem}~{former[:8]}{ENDING}"
            path.replace(kept)
            self._know(kept, former)

    def _know(self, path: Path, key: str) -> None:
        self._keys[path] = key
        self._by_key[key] = path

    def path_of(self, cell: Cell) -> Path:
        """The file of a cell."""
        return self.cells / f"{cell.name}{ENDING}"

    # The record.

    def mend_record(self, drawn: Iterable[KeyedCell]) -> None:
        """Have one line for each cell that is drawn: torn lines and those without a file go.

        Lines of other plans stay as long as their files do. Raises `EngineError`.
        """
        lines = {}
        for line in self._lines():
            with suppress(ValueError, KeyError, TypeError):
                fact = json.loads(line)
                if self._keys.get(self.path / fact["file"]) == fact["key"]:
                    lines[fact["file"]] = line
        for keyed in drawn:
            lines.setdefault(self._file(keyed.cell), self._line(keyed))
        text = "".join(f"{line}\n" for line in lines.values()).encode()
        try:
            if not self.record.exists() or self.record.read_bytes() != text:
                replace_file(self.record, text)
        except OSError as error:
            raise EngineError(
                f"{self.record}: it cannot be written ({in_words(error)})."
            ) from error

    def note(self, keyed: KeyedCell) -> None:
        """Append the line of a cell that was drawn; it is on the disk when this returns."""
        try:
            number = os.open(self.record, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
            try:
                os.write(number, f"{self._line(keyed)}\n".encode())
                os.fsync(number)
            finally:
                os.close(number)
        except OSError as error:
            raise EngineError(
                f"{self.record}: it cannot be written ({in_words(error)})."
            ) from error

    def _lines(self) -> list[str]:
        try:
            data = read_regular(self.record, _LARGEST_RECORD)
        except FileFormatError:
            return []
        return data.decode("utf-8", "replace").split("\n")

    def _line(self, keyed: KeyedCell) -> str:
        cell = keyed.cell
        return json.dumps(
            {
                "file": self._file(cell),
                "key": keyed.key,
                "axes": dict(cell.values),
                "prompt": cell.request.prompt,
                "seed": cell.request.seed,
                "stack": [_member(ref) for ref in cell.stack],
            }
        )

    def _file(self, cell: Cell) -> str:
        return f"{self.cells.name}/{cell.name}{ENDING}"


def _member(ref: LoraRef) -> Mapping[str, Any]:
    return {
        "name": ref.name,
        "path": str(ref.path),
        "unet": ref.unet,
        "text_encoder": ref.text_encoder,
        "text_encoder_2": ref.text_encoder_2_strength,
        "blocks": dict(ref.blocks),
    }


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # taken away meanwhile
        return 0.0


def _key_of(path: Path) -> str | None:
    """The key that a whole picture carries; None for any other file."""
    try:
        return mark_of(read_regular(path, MAX_BYTES))
    except FileFormatError:
        return None
