"""Pictures and prompts in the store: kept exactly, found by words, gone and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.protocol.making import Making
from engine.protocol.passes import HiresPass
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.store.database import Database
from engine.store.drawn import DrawnPictures
from engine.store.pictures import PICTURES, PictureSearch, PictureStore, StoredPicture
from engine.store.prompts import PROMPTS, PromptStore, StoredPrompt


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "loraswitch.db", PICTURES, PROMPTS) as opened:
        yield opened


@pytest.fixture
def store(database: Database) -> PictureStore:
    return PictureStore(database)


def names(store: PictureStore, **search: object) -> list[str]:
    return [row.path.stem for row in store.find(PictureSearch(**search))]  # type: ignore[arg-type]


def test_search(store: PictureStore) -> None:
    def picture(name: str, drawn: float, prompt: str, seed: int, *loras: str) -> StoredPicture:
        path = Path("/out") / f"{name}.png"
        return StoredPicture(path, drawn, 1, 2, 8, 8, "", "sd_xl", seed, prompt, loras)

    store.record(
        [
            picture("a", 100.0, "a FOX in 100% snow", 7, "Neon_glow"),
            picture("b", 300.0, "Ein BÄR, 100 Mal", 2**64 - 1, "ink"),
            picture("c", 200.0, "a house \udc80", 7),
        ]
    )
    assert names(store) == ["b", "c", "a"]
    assert names(store, words=("fox",)) == names(store, words=("a fox", "snow")) == ["a"]
    assert names(store, words=("bär",)) == ["b"]
    assert names(store, words=("100%",)) == names(store, words=("neon",)) == ["a"]
    assert names(store, words=("sd_xl", "c.png")) == ["c"]
    assert names(store, loras=("neon",)) == ["a"]
    assert names(store, loras=("fox",)) == []
    assert names(store, seed=str(2**64 - 1)) == ["b"]
    assert names(store, seed="7", since=150.0) == ["c"]
    assert names(store, until=300.0) == ["c", "a"]
    store.set_favourite(Path("/out/a.png"), True)
    assert names(store, favourites=True) == ["a"]
    # What is read anew of a file changes nothing of what the user said of it.
    store.record([picture("a", 100.0, "a cat", 7)])
    assert names(store, favourites=True, words=("cat",)) == ["a"]


def test_files_that_go_and_come(store: PictureStore) -> None:
    paths = [Path("/out/a.png"), Path("/out/b\udcff.png"), Path("/out/below/c.png")]
    store.record(StoredPicture(path, 1.0, 10 + n, 20, 8, 8) for n, path in enumerate(paths))
    assert store.known(Path("/out")) == {
        b"/out/a.png": (10, 20),
        b"/out/b\xff.png": (11, 20),
    }
    assert set(store.folders()) == {Path("/out"), Path("/out/below")}
    store.set_gone(paths[:1])
    found = store.find()
    assert [row.path for row in found] == [paths[2], paths[1]]
    assert [row.path for row in found[1:]] == [paths[1]]
    assert set(store.known(Path("/out"))) == {b"/out/b\xff.png"}
    store.set_gone(paths[:1], gone=False)
    assert len(store.find()) == 3


def test_what_made_a_picture_comes_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(b"12345")
    hires = HiresPass(2.0, stack=(LoraRef("/x/detail.safetensors"),))
    request = GenerateRequest(
        "a fox", tmp_path, seed=2**64 - 2, batch=2, cfg_scale=0.1 + 0.2, hires=hires
    )
    making = Making(request, (LoraRef("/x/ink.safetensors", 1 / 3),), index=1)
    drawn = DrawnPictures(tmp_path / "state" / "loraswitch.db")
    assert drawn.record(path, 5.0, (8, 9), making, "sd_xl") == ""
    drawn.close()
    with Database(tmp_path / "state" / "loraswitch.db", PICTURES, PROMPTS) as database:
        store = PictureStore(database)
        assert store.making(path) == making
        assert store.making(tmp_path / "other") is None
        (row,) = store.find(PictureSearch(seed=str(2**64 - 1), loras=("ink",)))
        assert (row.path, row.drawn, row.width, row.height) == (path, 5.0, 8, 9)
        assert store.find(PictureSearch(loras=("detail",))), "that of the second pass"
        assert store.known(tmp_path) == {bytes(path): (path.stat().st_mtime_ns, 5)}
        assert PromptStore(database).newest() == [StoredPrompt("a fox", "")]


def test_a_store_that_fails_is_said_and_costs_no_picture(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "x.png"
    path.write_bytes(b"1")
    making = Making(GenerateRequest("a fox", tmp_path, seed=1))
    said = DrawnPictures(tmp_path / "file" / "a.db").record(path, 5.0, (8, 9), making, "m")
    assert "The picture is saved" in said
    assert DrawnPictures(None).record(path, 5.0, (8, 9), making, "m") == ""


def test_prompts_newest_first_each_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = PromptStore(database)
    for at, text in enumerate(["a", "b", " ", "a", "c \udc80"]):
        prompts.use(text, "dull", float(at))
    prompts.use("a", "", 9.0)
    assert prompts.newest() == [
        StoredPrompt("a", ""),
        StoredPrompt("c ?", "dull"),
        StoredPrompt("a", "dull", 2),
        StoredPrompt("b", "dull"),
    ]
    assert prompts.newest(1) == [StoredPrompt("a", "")]
    monkeypatch.setattr("engine.store.prompts.MOST_PROMPTS", 2)
    prompts.use("d", "", 10.0)
    assert [one.prompt for one in prompts.newest(9)] == ["d", "a"]
