"""The user's own words about LoRA files: favourites, tags, notes, and how often each was used.

A file is known by the hash of its tensors, so that its words outlive its name and place; until that
is known, by its path.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import structs

from engine.store.database import Database
from engine.store.lora_words import NO_WORDS, LoraWords
from engine.store.migrate import Subject

LORAS = Subject(
    "loras",
    (
        """
        CREATE TABLE loras (
            key TEXT PRIMARY KEY,
            size INTEGER NOT NULL,
            favourite INTEGER NOT NULL,
            tags TEXT NOT NULL,
            notes TEXT NOT NULL,
            base_model TEXT NOT NULL,
            strength REAL,
            lowest REAL,
            highest REAL,
            triggers TEXT NOT NULL,
            uses INTEGER NOT NULL,
            last_use REAL NOT NULL
        );
        """,
    ),
)
_COLUMNS = "favourite, tags, notes, base_model, strength, lowest, highest, triggers, uses, last_use"


def path_key(path: Path) -> str:
    """The key of a file whose tensors' hash is not known yet."""
    return f"path:{path.as_posix()}".encode(errors="backslashreplace").decode()


def tensors_key(tensors_sha256: str) -> str:
    """The key of all files with these tensors."""
    return f"tensors:{tensors_sha256}"


class LoraStore:
    """The words of all files, by key; see `path_key` and `tensors_key`. Raises `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, tuple[int, LoraWords]]:
        """The size of each file in bytes, and its words."""
        rows = self._database.rows(f"SELECT key, size, {_COLUMNS} FROM loras")
        return {key: (size, _words(row)) for key, size, *row in rows}

    def words(self, key: str) -> LoraWords:
        """What is said of one file."""
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM loras WHERE key = ?", (key,))
        return _words(rows[0]) if rows else NO_WORDS

    def put(self, key: str, size: int, words: LoraWords) -> None:
        """Say these words of a file from now on; what was counted stays as it is."""
        now = structs.replace(words, uses=0, last_use=0.0)
        with self._database.changing() as connection:
            connection.execute(
                f"INSERT INTO loras VALUES ({', '.join('?' * 12)}) ON CONFLICT (key) DO UPDATE SET "
                "size = excluded.size, favourite = excluded.favourite, tags = excluded.tags, "
                "notes = excluded.notes, base_model = excluded.base_model, "
                "strength = excluded.strength, lowest = excluded.lowest, "
                "highest = excluded.highest, triggers = excluded.triggers",
                (key, size, *_row(now)),
            )

    def count_use(self, files: Iterable[tuple[str, int]], when: float) -> None:
        """Count one more use of files, given by key and size."""
        with self._database.changing() as connection:
            for key, size in files:
                connection.execute(
                    f"INSERT INTO loras VALUES ({', '.join('?' * 12)}) ON CONFLICT (key) DO UPDATE "
                    "SET uses = uses + 1, last_use = max(last_use, excluded.last_use)",
                    (key, size, *_row(LoraWords(uses=1, last_use=when))),
                )

    def rekey(self, old: str, new: str) -> None:
        """Say under a file's hash what was said under its path; what both say is joined."""
        with self._database.changing() as connection:
            query = f"SELECT size, {_COLUMNS} FROM loras WHERE key = ?"
            moved = connection.execute(query, (old,)).fetchone()
            if moved is None:
                return
            there = connection.execute(query, (new,)).fetchone()
            words = _words(moved[1:])
            if there is not None:
                words = _joined(_words(there[1:]), words)
            connection.execute("DELETE FROM loras WHERE key IN (?, ?)", (old, new))
            connection.execute(
                f"INSERT INTO loras VALUES ({', '.join('?' * 12)})", (new, moved[0], *_row(words))
            )


def _row(words: LoraWords) -> tuple[Any, ...]:
    values = structs.astuple(words)
    # A terminal can hand over half characters (surrogates), which no database takes.
    return tuple(
        json.dumps(value) if isinstance(value, tuple)
        else value.encode(errors="replace").decode() if isinstance(value, str)
        else value
        for value in values
    )  # fmt: skip


def _words(row: Iterable[Any]) -> LoraWords:
    favourite, tags, notes, base_model, strength, lowest, highest, triggers, uses, last_use = row
    return LoraWords(
        bool(favourite),
        tuple(json.loads(tags)),
        notes,
        base_model,
        strength,
        lowest,
        highest,
        tuple(json.loads(triggers)),
        uses,
        last_use,
    )


def _joined(one: LoraWords, other: LoraWords) -> LoraWords:
    """Both, where they do not contradict each other; else the first."""
    notes = [text for text in dict.fromkeys((one.notes, other.notes)) if text]
    strengths = one if one.strength is not None or one.lowest is not None else other
    return LoraWords(
        one.favourite or other.favourite,
        tuple(dict.fromkeys((*one.tags, *other.tags))),
        "\n".join(notes),
        one.base_model or other.base_model,
        strengths.strength,
        strengths.lowest,
        strengths.highest,
        tuple(dict.fromkeys((*one.triggers, *other.triggers))),
        one.uses + other.uses,
        max(one.last_use, other.last_use),
    )
