"""The store's file: several processes, migrations with a copy, files of another kind or time."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import StoreError
from engine.files import mounts
from engine.store.database import Database
from engine.store.migrate import Subject

FIRST = "CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT NOT NULL);"
SECOND = """
ALTER TABLE words ADD COLUMN length INTEGER NOT NULL DEFAULT 0;
UPDATE words SET length = length(word); -- a comment; with a semicolon
CREATE TRIGGER counted AFTER INSERT ON words BEGIN
  UPDATE words SET length = length(new.word) WHERE id = new.id;
END;
"""
WORDS = Subject("words", (FIRST,))
LONGER = Subject("words", (FIRST, SECOND))
OTHER = Subject("others", ("CREATE TABLE others (id INTEGER REFERENCES words (id));",))


def test_rows_stay_and_subjects_share_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "loraswitch.db"
    with Database(path, WORDS) as store:
        store.change("INSERT INTO words (word) VALUES (?)", ("fox",))
    with Database(path, OTHER) as store:
        store.change("INSERT INTO others VALUES (1)")
        with pytest.raises(StoreError, match="FOREIGN KEY"):
            store.change("INSERT INTO others VALUES (2)")
        assert not store.warning
    with Database(path, WORDS, OTHER) as store:
        assert store.rows("SELECT word FROM words, others USING (id)") == [("fox",)]
        assert store.rows("PRAGMA journal_mode") == [("wal",)]


def test_a_change_happens_whole_or_not_at_all(tmp_path: Path) -> None:
    with Database(tmp_path / "a.db", WORDS) as store:
        with pytest.raises(KeyError), store.changing() as connection:  # noqa: PT012
            connection.execute("INSERT INTO words (word) VALUES ('lost')")
            raise KeyError
        store.change("INSERT INTO words (word) VALUES ('kept')")
        assert store.rows("SELECT word FROM words") == [("kept",)]


def test_a_migration_changes_the_rows_and_leaves_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Database(path, WORDS) as store:
        store.change("INSERT INTO words (word) VALUES ('fox')")
    with Database(path, LONGER) as store:
        store.change("INSERT INTO words (word) VALUES ('lighthouse')")
        assert store.rows("SELECT word, length FROM words") == [("fox", 3), ("lighthouse", 10)]
    copy = sqlite3.connect(tmp_path / "a.db.before-words1")
    assert copy.execute("SELECT * FROM words").fetchall() == [(1, "fox")]
    copy.close()
    with pytest.raises(StoreError, match=r"newer loraswitch.*form 2, and this one knows 1"):
        Database(path, WORDS)


@pytest.mark.parametrize("wrong", ["CREATE TABLE half (id);SELECT * FROM nothing;", "SELECT 'x"])
def test_a_migration_that_fails_changes_nothing(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "a.db"
    with Database(path, WORDS) as store:
        store.change("INSERT INTO words (word) VALUES ('fox')")
    with pytest.raises(StoreError):
        Database(path, Subject("words", (FIRST, SECOND, wrong)), OTHER)
    with Database(path, WORDS) as store:
        assert store.rows("SELECT * FROM words") == [(1, "fox")]
        assert not store.rows("SELECT 1 FROM sqlite_schema WHERE name IN ('half', 'others')")


@pytest.mark.parametrize("content", [b"\x89PNG and so on" * 100, b"SQLite format 3\0" + b"x" * 900])
def test_what_is_no_database_is_set_aside_and_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.db"
    for kept in ("a.db.damaged", "a.db.damaged-1"):
        path.write_bytes(content)
        with Database(path, WORDS) as store:
            assert kept in store.warning
            assert store.rows("SELECT * FROM words") == []
        assert (tmp_path / kept).read_bytes() == content
    with Database(path, WORDS) as store:
        assert not store.warning


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (id)")
    other.close()
    with pytest.raises(StoreError, match="another program"):
        Database(path, WORDS)


def test_a_folder_in_its_place_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        Database(tmp_path, WORDS)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be opened"):
        Database(tmp_path / "file" / "a.db", WORDS)


CODE = """
import sys
from pathlib import Path
from engine.store.database import Database
from engine.store.migrate import Subject
scripts = ("CREATE TABLE words (word);", "ALTER TABLE words ADD COLUMN more;")
heavy = {"torch", "numpy", "textual"} & set(sys.modules)
assert not heavy, heavy
sys.stdin.readline()
for turn in range(10):
    with Database(Path(sys.argv[1]), Subject("words", scripts)) as store:
        store.change("INSERT INTO words VALUES (?, 1)", (sys.argv[2],))
"""


@pytest.mark.parametrize("start", [b"", b"no database" * 99])
def test_several_processes_may_open_it_at_once(tmp_path: Path, start: bytes) -> None:
    """Also while each of them finds that it has to be made, or set aside."""
    path = tmp_path / "a.db"
    path.write_bytes(start)
    programs = [
        subprocess.Popen([sys.executable, "-c", CODE, path, str(n)], stdin=subprocess.PIPE)
        for n in range(4)
    ]
    for program in programs:
        assert program.stdin is not None
        program.stdin.write(b"\n")
        program.stdin.close()
    assert [program.wait(60) for program in programs] == [0] * 4
    with Database(path, Subject("words", ("", ""))) as store:
        assert store.rows("SELECT count(*) FROM words GROUP BY word") == [(10,)] * 4
    assert len(list(tmp_path.glob("*.damaged*"))) == bool(start)


def test_a_network_mount_gets_a_rollback_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mounts"
    shared = tmp_path / "my share"
    monkeypatch.setattr(mounts, "_TABLE", table)
    for kind, network in (
        ("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("9p", True), ("fuse.rclone", True),
        ("ext4", False), ("btrfs", False), ("fuseblk", False), ("overlay", False), ("", False),
    ):  # fmt: skip
        mount = f"host:/x {shared}".replace("my share", "my\\040share")
        lines = (f"/dev/a / {kind and 'ext4'} rw 0 0", f"{mount} {kind} rw 0 0", "odd")
        table.write_text("\n".join(lines))
        assert mounts.is_on_network(shared / "not" / "there") == network
        assert not mounts.is_on_network(tmp_path / "my shares")
        path = shared / f"{kind}.db"
        for _ in range(2):  # made there, and opened again
            with Database(path, WORDS) as store:
                wanted = "delete" if network else "wal"
                assert store.rows("PRAGMA journal_mode") == [(wanted,)], kind
