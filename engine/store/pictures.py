"""Pictures in the store: where each lies, when it was drawn, and what made it."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, overload

from engine.protocol.making import Making, decode_making
from engine.store.database import Database
from engine.store.migrate import Subject

PICTURES = Subject(
    "pictures",
    (
        """
        CREATE TABLE pictures (
            id INTEGER PRIMARY KEY,
            path BLOB NOT NULL UNIQUE,
            folder BLOB NOT NULL,
            drawn REAL NOT NULL,
            modified_ns INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            program TEXT NOT NULL,
            model TEXT NOT NULL,
            seed TEXT NOT NULL,
            prompt TEXT NOT NULL,
            loras TEXT NOT NULL,
            words TEXT NOT NULL,
            making TEXT NOT NULL,
            problem TEXT NOT NULL,
            favourite INTEGER NOT NULL DEFAULT 0,
            is_gone INTEGER NOT NULL DEFAULT 0
        );
        CREATE INDEX pictures_by_time ON pictures (is_gone, drawn DESC, id DESC);
        CREATE INDEX pictures_by_folder ON pictures (folder);
        """,
    ),
)
"""Seeds are texts since they have 64 bits without a sign. `loras` and `words`, what is searched,
are in small letters of every alphabet. `making` is the request and the stack as
JSON, empty for pictures of other programs. A file that is gone keeps its row: its drive may come
back."""


@dataclass(frozen=True)
class StoredPicture:
    """A picture as it is put into the store; times are seconds since 1970."""

    path: Path
    drawn: float
    modified_ns: int
    bytes: int
    width: int
    height: int
    program: str = ""
    model: str = ""
    seed: int | None = None
    prompt: str = ""
    loras: tuple[str, ...] = ()
    making: str = ""
    """As `encode_making` writes it."""
    problem: str = ""
    """Why the file cannot be read."""


class PictureRow(NamedTuple):
    """What a list of pictures shows of one."""

    id: int
    raw_path: bytes
    drawn: float
    width: int
    height: int
    favourite: int
    """1 for a favourite."""

    @property
    def path(self) -> Path:
        """The file."""
        return Path(os.fsdecode(self.raw_path))


class PictureRows(Sequence[PictureRow]):
    """Rows as the store gives them: plain tuples, which the garbage collector passes over."""

    def __init__(self, rows: Sequence[tuple[Any, ...]] = ()) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, number: int) -> PictureRow: ...

    @overload
    def __getitem__(self, number: slice) -> PictureRows: ...

    def __getitem__(self, number: int | slice) -> PictureRow | PictureRows:
        if isinstance(number, slice):
            return PictureRows(self._rows[number])
        return PictureRow._make(self._rows[number])


@dataclass(frozen=True)
class PictureSearch:
    """Which pictures are wanted; all that is given counts together."""

    words: tuple[str, ...] = ()
    """Each stands in the prompt, a LoRA's name, the model's or the file's, in any case."""
    loras: tuple[str, ...] = ()
    """Each is a part of the name of a LoRA of the stack."""
    seed: str = ""
    since: float = 0.0
    until: float = 0.0
    """0 for no end."""
    favourites: bool = False


class PictureStore:
    """The table of pictures; the methods raise `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, pictures: Iterable[StoredPicture]) -> None:
        """Put pictures in, in place of what was known of the same paths; favourites stay."""
        rows = [_row_of(picture) for picture in pictures]
        with self._database.changing() as connection:
            connection.executemany(_RECORD, rows)

    def move(self, former: Path | None, picture: StoredPicture) -> None:
        """Put a picture in that was known at another place, or (None) at none."""
        with self._database.changing() as connection:
            if former is not None:
                connection.execute("DELETE FROM pictures WHERE path = ?", (os.fsencode(former),))
            connection.execute(_RECORD, _row_of(picture))

    def follow(self, former: Path, path: Path) -> None:
        """A picture lies at another place now, where it may be known already."""
        with self._database.changing() as connection:
            connection.execute(
                "UPDATE OR REPLACE pictures SET path = ?, folder = ?, modified_ns = ?, is_gone = 0 "
                "WHERE path = ?",
                (
                    os.fsencode(path),
                    os.fsencode(path.parent),
                    path.stat().st_mtime_ns,
                    os.fsencode(former),
                ),
            )

    def find(self, search: PictureSearch | None = None) -> PictureRows:
        """The pictures that are there, newest first."""
        where, values = _where(search or PictureSearch())
        rows = self._database.rows(
            "SELECT id, path, drawn, width, height, favourite FROM pictures "
            f"WHERE is_gone = 0{where} ORDER BY drawn DESC, id DESC",
            values,
        )
        return PictureRows(rows)

    def making(self, path: Path) -> Making | None:
        """What made a picture, exactly; None where that is not known."""
        rows = self._database.rows(
            "SELECT making FROM pictures WHERE path = ?", (os.fsencode(path),)
        )
        try:
            return decode_making(rows[0][0]) if rows and rows[0][0] else None
        except ValueError:
            return None

    def known(self, folder: Path) -> dict[bytes, tuple[int, int]]:
        """Time of change in nanoseconds and size of the files in one folder, those gone apart.

        By their paths as the system has them: a folder may hold tens of thousands.
        """
        rows = self._database.rows(
            "SELECT path, modified_ns, bytes FROM pictures WHERE folder = ? AND is_gone = 0",
            (os.fsencode(folder),),
        )
        return {path: (modified, size) for path, modified, size in rows}

    def folders(self) -> list[Path]:
        """All folders with pictures that were there."""
        rows = self._database.rows("SELECT DISTINCT folder FROM pictures WHERE is_gone = 0")
        return [Path(os.fsdecode(folder)) for (folder,) in rows]

    def set_gone(self, paths: Iterable[Path], gone: bool = True) -> None:
        """Files that are no longer there, or that are there again."""
        with self._database.changing() as connection:
            connection.executemany(
                "UPDATE pictures SET is_gone = ? WHERE path = ?",
                [(gone, os.fsencode(path)) for path in paths],
            )

    def set_favourite(self, path: Path, favourite: bool) -> None:
        """Mark a picture, or take the mark away."""
        self._database.change(
            "UPDATE pictures SET favourite = ? WHERE path = ?", (favourite, os.fsencode(path))
        )


_COLUMNS = (
    "path", "folder", "drawn", "modified_ns", "bytes", "width", "height", "program", "model",
    "seed", "prompt", "loras", "words", "making", "problem",
)  # fmt: skip
_RECORD = (
    f"INSERT INTO pictures ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    "ON CONFLICT (path) DO UPDATE SET is_gone = 0, "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[1:])
)


def _row_of(picture: StoredPicture) -> tuple[object, ...]:
    return (
        os.fsencode(picture.path),
        os.fsencode(picture.path.parent),
        picture.drawn,
        picture.modified_ns,
        picture.bytes,
        picture.width,
        picture.height,
        *map(_whole, (picture.program, picture.model)),
        "" if picture.seed is None else str(picture.seed),
        _whole(picture.prompt),
        "\n".join(map(_folded, picture.loras)),
        _folded("\n".join((picture.prompt, *picture.loras, picture.model, picture.path.name))),
        *map(_whole, (picture.making, picture.problem)),
    )


def _whole(text: str) -> str:
    """Without half characters, which SQLite does not take."""
    return text.encode("utf-8", "replace").decode()


def _folded(text: str) -> str:
    return _whole(unicodedata.normalize("NFC", text).casefold())


def _where(search: PictureSearch) -> tuple[str, Sequence[object]]:
    parts, values = [""], list[object]()
    for column, texts in (("words", search.words), ("loras", search.loras)):
        parts += [f"instr({column}, ?)"] * len(texts)
        values += map(_folded, texts)
    if search.seed:
        parts.append("seed = ?")
        values.append(search.seed)
    if search.since:
        parts.append("drawn >= ?")
        values.append(search.since)
    if search.until:
        parts.append("drawn < ?")
        values.append(search.until)
    if search.favourites:
        parts.append("favourite = 1")
    return " AND ".join(parts), values
