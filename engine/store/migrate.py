"""Migrations: the tables of each subject are brought to the form that this version knows."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import StoreError
from engine.files.regular_file import printable

_VERSIONS = "CREATE TABLE IF NOT EXISTS subjects (name TEXT PRIMARY KEY, version INTEGER NOT NULL)"


@dataclass(frozen=True)
class Subject:
    """The tables of one subject, in its own file of the program.

    `scripts` are SQL, one or several statements each. The first makes the tables, each later one
    changes those of the one before; a script that was once released stays as it is. All that a
    file does not have yet are run in one transaction; foreign keys are checked at its end.
    """

    name: str
    scripts: tuple[str, ...]


def is_current(connection: sqlite3.Connection, subjects: Sequence[Subject]) -> bool:
    """Whether all the scripts of the subjects, and no others, were run on the file."""
    known = _versions(connection)
    return all(known.get(subject.name) == len(subject.scripts) for subject in subjects)


def migrate(connection: sqlite3.Connection, path: Path, subjects: Sequence[Subject]) -> None:
    """Run the scripts that are missing, all or none; a file with tables to change is copied first.

    Raises `StoreError`, with nothing changed, where the file is ahead of the program.
    """
    known = _versions(connection)
    for subject in subjects:
        if known.get(subject.name, 0) > len(subject.scripts):
            raise StoreError(
                f"{printable(path)}: this was written by a newer loraswitch (its {subject.name} "
                f"have form {known[subject.name]}, and this one knows {len(subject.scripts)}); "
                "update loraswitch, or move the file away to begin a fresh one."
            )
    older = [s for s in subjects if 0 < known.get(s.name, 0) < len(s.scripts)]
    if older:
        _back_up(connection, path, older)
    # Not to be changed within a transaction; tables that are made anew would lose their rows.
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("BEGIN IMMEDIATE")
    try:
        _run_missing(connection, subjects)
        if wrong := connection.execute("PRAGMA foreign_key_check").fetchone():
            raise sqlite3.IntegrityError(f"a row of {wrong[0]} belongs to none of {wrong[2]}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def _run_missing(connection: sqlite3.Connection, subjects: Sequence[Subject]) -> None:
    connection.execute(_VERSIONS)
    known = _versions(connection)  # once more: another process may have been here meanwhile
    for subject in subjects:
        for script in subject.scripts[known.get(subject.name, 0) :]:
            for statement in _statements(script):
                connection.execute(statement)
        newest = max(known.get(subject.name, 0), len(subject.scripts))
        connection.execute("REPLACE INTO subjects VALUES (?, ?)", (subject.name, newest))


def _statements(script: str) -> Iterator[str]:
    """One at a time: `executescript` would end the transaction."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n\t;"):
                yield statement
            statement = ""
    if statement.strip(" \n\t;"):
        yield statement  # a quote without an end, of which SQLite then tells


def _versions(connection: sqlite3.Connection) -> dict[str, int]:
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'subjects'").fetchone()
    return dict(connection.execute("SELECT name, version FROM subjects")) if found else {}


def _back_up(connection: sqlite3.Connection, path: Path, older: Sequence[Subject]) -> None:
    """A copy beside the file, whole, what is in its log included."""
    forms = _versions(connection)
    names = "-".join(f"{subject.name}{forms[subject.name]}" for subject in older)
    kept, unfinished = Path(f"{path}.before-{names}"), Path(f"{path}.copying-{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(unfinished),))
    unfinished.replace(kept)
