"""The user's own words stay with a file: through restarts, renames and moves; and are found."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from msgspec import structs

from engine.library.hash_table import HashTable
from engine.library.index import LibraryIndex
from engine.library.own_words import OwnWords, duplicates
from engine.library.scan import scan_folders
from engine.library.search import SearchIndex
from engine.store.database import Database
from engine.store.lora_words import LoraWords
from engine.store.loras import LORAS, LoraStore, path_key

from .conftest import WriteLora


@pytest.fixture
def words(tmp_path: Path) -> OwnWords:
    return open_words(tmp_path)


def open_words(folder: Path) -> OwnWords:
    store = LoraStore(Database(folder / "loraswitch.db", LORAS))
    return OwnWords(store, HashTable(folder / "index.sqlite"))


def listed(root: Path, folder: Path, words: OwnWords) -> SearchIndex:
    with LibraryIndex(folder / "index.sqlite") as index:
        return SearchIndex.of(scan_folders([root], index), words.overlay([root]))


def names(index: SearchIndex, query: str, **options: bool) -> list[str]:
    return [entry.name for entry in index.find(query, **options).entries]


def test_words_are_found_and_outlive_a_rename(
    root: Path, tmp_path: Path, words: OwnWords, write_lora: WriteLora
) -> None:
    for number, name in enumerate(("a", "b", "c")):
        write_lora(f"{name}.safetensors", ss_epoch=str(number))
    path = root / "b.safetensors"
    path.write_bytes(path.read_bytes()[:-2] + b"\1\1")  # other tensors than the two beside it
    (entry,) = listed(root, tmp_path, words).filter("b")
    said = LoraWords(True, ("mine",), "for rain", "Pony", strength=0.6, triggers=("wet street",))
    edit = words.say(entry, structs.replace(said, base_model="SDXL Pony"))
    assert edit.before == LoraWords()
    words.count_use([path], 100.0)
    words.count_use([path], 200.0)
    words.hash(path)
    path.rename(root / "moved.safetensors")
    again = open_words(tmp_path)
    assert entry.size in again.lost_sizes(), "so a file of this size is hashed"
    again.hash(root / "moved.safetensors")
    assert again.lost_sizes() == set()

    index = listed(root, tmp_path, again)
    for query in ("fav:yes", "tag:mine", "rain", "used:2", "used:>=1", "used:yes", "base:pony"):
        assert names(index, query) == ["moved"], query
    assert names(index, "fav:no used:no") == ["a", "c"]
    assert names(index, "", favourites_first=True) == ["moved", "a", "c"]
    assert [e.name for e in index.find("", order="uses").entries] == ["moved", "a", "c"]
    assert next(iter(index.find("", order="last use").entries)).name == "moved"
    (entry,) = index.filter("moved")
    assert (entry.preferred_strength, entry.base_label) == (0.6, "SDXL Pony")
    assert entry.trigger_words[0].words == ("wet street",)
    assert names(index, "dup:yes") == [], "their hashes are not known"
    for name in ("a", "c"):
        again.hash(root / f"{name}.safetensors")
    assert names(listed(root, tmp_path, again), "dup:yes") == ["a", "c"]


def test_what_was_said_by_path_and_by_hash_is_joined(tmp_path: Path) -> None:
    store = LoraStore(Database(tmp_path / "a.db", LORAS))
    store.put("tensors:1", 5, LoraWords(tags=("old",), notes="one"))
    store.put(path_key(Path("/x")), 5, LoraWords(favourite=True, tags=("new",), notes="two"))
    store.count_use([(path_key(Path("/x")), 5), ("tensors:1", 5)], 7.0)
    store.rekey(path_key(Path("/x")), "tensors:1")
    joined = LoraWords(True, ("old", "new"), "one\ntwo", uses=2, last_use=7.0)
    assert store.all() == {"tensors:1": (5, joined)}
    store.put("tensors:1", 5, LoraWords())
    assert store.words("tensors:1") == LoraWords(uses=2, last_use=7.0), "counts are not said"


def test_uses_are_counted_by_several_at_once(tmp_path: Path) -> None:
    def count() -> None:
        with Database(tmp_path / "a.db", LORAS) as database:
            for _ in range(20):
                LoraStore(database).count_use([("tensors:1", 5)], 1.0)

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert LoraStore(Database(tmp_path / "a.db", LORAS)).words("tensors:1").uses == 60


def test_files_with_the_same_tensors_are_duplicates(
    root: Path, words: OwnWords, write_lora: WriteLora
) -> None:
    paths = [write_lora("a.safetensors"), write_lora("x/b.safetensors", ss_epoch="9")]
    paths.append(write_lora("c.safetensors", width=1024))
    hashes = {path: found for path in paths if (found := words.hash(path))}
    assert duplicates(hashes) == [paths[:2]]
