"""Hashes of the files in use: of the version that was used, once, and off everybody's way."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import FileFormatError
from engine.files.hashes import hash_file
from engine.library import hash_store, hash_table
from engine.library.hash_store import HashStore
from engine.library.index import LibraryIndex

PATIENCE = 30.0


def never() -> bool:
    return False


def ignore(path: Path) -> None: ...


def hash_of(store: HashStore, path: Path) -> str | None:
    """What a picture would carry of a file in use."""
    hashes = store.of_used(path, never, ignore)
    return hashes.sha256 if hashes else None


def use(store: HashStore, *paths: Path) -> None:
    store.use(store.look(paths))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read to be hashed."""
    read: list[Path] = []

    def count(path: Path):
        read.append(path)
        return hash_file(path)

    monkeypatch.setattr(hash_table, "hash_file", count)
    return read


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Hashing waits until this is called."""
    gate = threading.Event()

    def wait(path: Path):
        assert gate.wait(PATIENCE)
        return hash_file(path)

    monkeypatch.setattr(hash_table, "hash_file", wait)
    yield gate.set
    gate.set()


def test_a_file_in_use_is_hashed_once_also_over_starts(write_lora, tmp_path, counted) -> None:
    lora, index = write_lora("a.safetensors"), tmp_path / "cache" / "index.sqlite"
    for _ in range(2):
        store = HashStore(index)
        for _ in range(2):
            use(store, lora)
            assert hash_of(store, lora) == sha256(lora)
    assert counted == [lora]


def test_the_librarys_entries_may_be_made_anew_without_losing_them(
    write_lora, tmp_path, counted
) -> None:
    lora, path = write_lora("a.safetensors"), tmp_path / "index.sqlite"
    LibraryIndex(path).close()
    store = HashStore(path)
    use(store, lora)
    hash_of(store, lora)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 0")
    connection.close()
    LibraryIndex(path).close()
    again = HashStore(path)
    use(again, lora)
    assert hash_of(again, lora) == sha256(lora)
    assert counted == [lora]


def test_no_thread_stays_when_all_is_hashed(write_lora) -> None:
    first, second = write_lora("a.safetensors"), write_lora("b.safetensors")
    before, store = set(threading.enumerate()), HashStore()
    for lora in (first, second):
        use(store, lora)
        assert hash_of(store, lora) == sha256(lora)
        for thread in set(threading.enumerate()) - before:
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.mark.parametrize("way", ["in place, the time set back", "replaced"])
def test_another_version_has_another_hash(write_lora, tmp_path, way) -> None:
    lora = write_lora("a.safetensors")
    store = HashStore(tmp_path / "index.sqlite")
    use(store, lora)
    before = hash_of(store, lora)
    content, status = bytearray(lora.read_bytes()), lora.stat()
    content[-1] ^= 1
    if way == "replaced":
        other = lora.with_suffix(".new")
        other.write_bytes(content)
        other.replace(lora)
    else:
        lora.write_bytes(content)
        os.utime(lora, ns=(status.st_atime_ns, status.st_mtime_ns))
    use(store, lora)
    assert hash_of(store, lora) == sha256(lora) != before


def test_a_file_written_to_while_it_was_read_into_the_weights_has_no_hash(write_lora) -> None:
    lora, store = write_lora("a.safetensors"), HashStore()
    looked = store.look([lora])
    write_lora("a.safetensors", width=1024)
    store.use(looked)
    assert hash_of(store, lora) is None


def test_a_file_written_to_after_it_was_used_has_no_hash(write_lora, held) -> None:
    lora, store = write_lora("a.safetensors"), HashStore()
    use(store, lora)
    store.begin([lora])
    write_lora("a.safetensors", width=1024)
    held()
    assert hash_of(store, lora) is None


def test_what_is_not_asked_for_is_not_read(write_lora, counted) -> None:
    first, second = write_lora("a.safetensors"), write_lora("b.safetensors")
    store = HashStore()
    use(store, first, second)
    store.begin([second, None, first.with_name("c")])
    assert hash_of(store, second)
    assert counted == [second]


def test_a_wait_is_told_and_can_be_given_up(write_lora, held, monkeypatch) -> None:
    monkeypatch.setattr(hash_store, "_MOMENT", 0.0)
    lora, store = write_lora("a.safetensors"), HashStore()
    use(store, lora)
    told: list[Path] = []
    assert store.of_used(lora, lambda: bool(told), told.append) is None
    assert told == [lora]
    held()
    assert hash_of(store, lora) == sha256(lora)


def test_no_file_no_hash_and_no_fault(tmp_path, write_lora, monkeypatch) -> None:
    store = HashStore()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no header")
    use(store, broken, tmp_path, tmp_path / "gone", Path("\0"))
    for path in (broken, tmp_path, tmp_path / "gone", None):
        assert store.of_used(path, never, ignore) is None
    lora = write_lora("a.safetensors")

    def fail(path: Path):
        raise FileFormatError("the disk is away")

    monkeypatch.setattr(hash_table, "hash_file", fail)
    use(store, lora)
    assert hash_of(store, lora) is None
    monkeypatch.undo()
    use(store, lora)
    assert hash_of(store, lora) == sha256(lora), "it is tried again"


@pytest.mark.parametrize("content", [b"no database " * 100, None])
def test_where_nothing_can_be_kept_hashes_are_there_all_the_same(
    write_lora, tmp_path, content
) -> None:
    lora, index = write_lora("a.safetensors"), tmp_path / "index.sqlite"
    if content is None:
        index = index / "below a file"
        index.parent.write_text("")
    else:
        index.write_bytes(content)
    store = HashStore(index)
    use(store, lora)
    assert hash_of(store, lora) == sha256(lora)
    if content is not None:
        assert index.read_bytes() == content
