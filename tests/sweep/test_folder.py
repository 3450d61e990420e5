"""The folder of a sweep: which cells count as drawn, and its record after whatever happened."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from engine.errors import EngineError, FileFormatError
from engine.files.picture_texts import INFOTEXT, MAKING, read_picture_texts
from engine.protocol.making import decode_making
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.store.database import Database
from engine.store.pictures import PICTURES, PictureStore, StoredPicture
from engine.sweep.cells import Cell
from engine.sweep.folder import KeyedCell, SweepFolder
from engine.sweep.marked import mark_of, marked
from engine.sweep.put_away import put_away
from tests.support.certified import certified_png, key_of, png_of_key


def cell(name: str, weights: str = "") -> KeyedCell:
    """A cell drawn with some weights; those of its name where none are given."""
    request = GenerateRequest("a fox", Path("/out"), seed=3)
    stack = (LoraRef("/neon.safetensors", 0.8),)
    return KeyedCell(Cell(name, (0,), {"lora": name}, request, stack), key_of(weights or name))


def png(colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "PNG")
    return file.getvalue()


def draw(folder: SweepFolder, keyed: KeyedCell, data: bytes | None = None) -> Path:
    """Do as an engine does: a whole picture in the folder of the key."""
    picture = folder.drawing(keyed.key) / "00001-3.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(png_of_key(keyed.key) if data is None else data)
    return picture


def put(folder: SweepFolder, keyed: KeyedCell, data: bytes | None = None) -> Path:
    path = folder.take(keyed, draw(folder, keyed, data))
    folder.note(keyed)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    found = SweepFolder(tmp_path / "sweep")
    with found.held():
        found.look()
        yield found


def again(folder: SweepFolder) -> SweepFolder:
    fresh = SweepFolder(folder.path)
    fresh.look()
    return fresh


def lines(folder: SweepFolder) -> list[dict[str, object]]:
    return [json.loads(line) for line in folder.record.read_text().splitlines()]


def test_a_mark_changes_no_pixel_and_is_read_again() -> None:
    once = marked(png(), "ab12")
    twice = marked(once, "cd34")
    assert mark_of(png()) is None
    assert (mark_of(once), mark_of(twice)) == ("ab12", "cd34")
    with Image.open(io.BytesIO(twice)) as image:
        assert image.getpixel((3, 3)) == (255, 0, 0)
    for broken in (once[:-5], once[:60] + b"x" + once[61:], b"", b"GIF89a"):
        with pytest.raises(FileFormatError):
            mark_of(broken)


def test_a_cell_that_is_whole_is_found_again(folder: SweepFolder) -> None:
    path = put(folder, cell("a"))

    assert path == folder.path / "cells/a.png"
    assert not list(folder.path.glob(".drawing/*"))
    assert again(folder).find(cell("a"))
    assert not again(folder).find(cell("a", "other"))
    assert not again(folder).find(cell("b"))
    assert lines(folder)[0]["file"] == "cells/a.png"


@pytest.mark.parametrize("spoil", [lambda data: data[:-7], lambda data: b"", lambda data: png()])
def test_what_is_not_whole_or_has_no_key_is_drawn_again(folder: SweepFolder, spoil) -> None:
    path = put(folder, cell("a"))
    path.write_bytes(spoil(path.read_bytes()))

    fresh = again(folder)
    assert not fresh.find(cell("a"))
    fresh.mend_record([])
    assert lines(fresh) == []


def test_a_picture_that_nobody_put_away_is(folder: SweepFolder) -> None:
    draw(folder, cell("a"))
    assert again(folder).find(cell("a"))
    assert mark_of((folder.path / "cells/a.png").read_bytes()) == key_of("a")

    draw(folder, cell("b"), certified_png("b")[:-3])
    assert not again(folder).find(cell("b"))


def test_a_picture_is_found_under_another_name(folder: SweepFolder) -> None:
    put(folder, cell("a", "same"))
    fresh = again(folder)
    assert fresh.find(cell("b", "same"))
    assert (folder.path / "cells/b.png").read_bytes() == (folder.path / "cells/a.png").read_bytes()
    fresh.mend_record([cell("a", "same"), cell("b", "same")])
    assert {line["file"] for line in lines(fresh)} == {"cells/a.png", "cells/b.png"}


def test_nothing_of_another_plan_is_lost(folder: SweepFolder) -> None:
    put(folder, cell("a", "one"))
    fresh = again(folder)
    put(fresh, cell("a", "two"), certified_png("two", colour="blue"))
    kept = [path.name for path in folder.path.glob("replaced/*")]
    assert kept == [f"a~{key_of('one')[:8]}.png"]
    # And back again, without drawing.
    third = again(folder)
    assert third.find(cell("a", "one"))
    third.mend_record([cell("a", "one")])
    assert [line["key"] for line in lines(third)] == [key_of("one")]
    assert again(folder).find(cell("a", "two"))


@pytest.mark.parametrize("rest", [b'{"file": "cells/b', b"\xff\xfe\n", b"[]\nnull\n3\n", b"{}\n"])
def test_a_torn_line_is_dropped(folder: SweepFolder, rest: bytes) -> None:
    put(folder, cell("a"))
    whole = folder.record.read_bytes()
    folder.record.write_bytes(whole + rest)

    fresh = again(folder)
    fresh.mend_record([cell("a")])
    assert folder.record.read_bytes() == whole


def test_lines_are_made_good_from_the_files(folder: SweepFolder) -> None:
    put(folder, cell("a"))
    folder.record.unlink()
    (folder.path / "cells/b.png").write_bytes(marked(png(), key_of("b")))

    fresh = again(folder)
    fresh.mend_record([cell("a"), cell("b")])
    assert [line["file"] for line in lines(fresh)] == ["cells/a.png", "cells/b.png"]
    # The record of a plan stays when another is drawn into the folder.
    fresh.mend_record([cell("b")])
    assert len(lines(fresh)) == 2


@pytest.mark.parametrize("data", [certified_png("these"), png()], ids=["another", "unknown"])
def test_what_is_not_certified_to_be_the_cell_is_none(folder: SweepFolder, data: bytes) -> None:
    with pytest.raises(FileFormatError, match=r"something else|not known"):
        put(folder, cell("a"), data)
    assert not again(folder).find(cell("a"))


def test_a_cell_says_that_it_lies_where_it_is(folder: SweepFolder) -> None:
    texts = read_picture_texts(put(folder, cell("a"))).texts
    assert decode_making(texts[MAKING]).request.output == folder.cells
    assert texts[INFOTEXT] == "a fox"


def test_the_store_knows_where_a_cell_lies(folder: SweepFolder, tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    known = SweepFolder(folder.path, store)
    known.look()
    picture = draw(known, cell("a"))
    with Database(store, PICTURES) as database:
        pictures = PictureStore(database)
        pictures.record([StoredPicture(picture, 1.0, 1, 1, 8, 8)])
        path = known.take(cell("a"), picture)
        (row,) = pictures.find()
        making = pictures.making(path)
    assert (row.path, row.width, row.height) == (path, 8, 8)
    assert making is not None
    assert making.request.output == folder.cells


def test_one_process_at_a_time(folder: SweepFolder) -> None:
    with (
        pytest.raises(EngineError, match="another sweep"),
        SweepFolder(folder.path).held(),
    ):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(EngineError, match="choose another folder"),
        SweepFolder(tmp_path / "file/sweep").held(),
    ):
        pass


def test_a_picture_is_found_where_it_was_put(folder: SweepFolder) -> None:
    first, second = cell("neon"), cell("ink")
    drawn = draw(folder, first)
    assert put_away(drawn) == drawn, "nobody moved it"
    folder.take(first, drawn)
    assert put_away(drawn) == folder.path_of(first.cell), "its line is still to be written"
    folder.note(first)
    put(folder, second)
    assert put_away(drawn) == folder.path_of(first.cell)
    assert put_away(folder.drawing("0" * 64) / "00001-3.png").parent.name == "0" * 64
    assert put_away(Path("/out/00001-3.png")) == Path("/out/00001-3.png")
