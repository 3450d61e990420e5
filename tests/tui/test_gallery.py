"""The gallery: all pictures by day, searched, compared, put away and used again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine.errors import EngineError
from engine.files.hashes import hash_file
from engine.files.trash import Trashed
from engine.generate.picture_bytes import encode_picture
from engine.protocol.commands import Draw, SetStack
from engine.protocol.making import FileUsed, Making, encode_making
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.store.pictures import PictureRow
from tests.tui.conftest import Driver
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.images.halfcell import HalfCellPicture
from tui_loraswitch.screens.gallery.days import Days
from tui_loraswitch.screens.gallery.records import GalleryRecords, preview_place
from tui_loraswitch.screens.gallery.screen import GalleryScreen
from tui_loraswitch.screens.gallery.viewer import PictureViewer

NOON = time.mktime((2026, 11, 27, 12, 0, 0, 0, 0, -1))
DAY = 86_400


def write_picture(
    path: Path, days_ago: float, prompt: str, *stack: LoraRef, colour: str = "red", **more: Any
) -> Path:
    """A picture as it is drawn here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    request = GenerateRequest(prompt, path.parent, **{"seed": 7, "width": 64, "height": 64, **more})
    files = tuple(FileUsed(str(r.path), r.name, hash_file(r.path).tensors_sha256) for r in stack)
    making = encode_making(Making(request, stack, files=files))
    infotext = f"{prompt}\nSteps: 28, Sampler: DPM++ 2M, Seed: {request.seed}"
    data, _ = encode_picture(Image.new("RGB", (64, 64), colour), "png", infotext, making)
    path.write_bytes(data)
    os.utime(path, (NOON - days_ago * DAY,) * 2)
    return path


@pytest.fixture
def pictures(settings: AppSettings, loras: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three pictures of two days, the newest first."""
    monkeypatch.setenv("XDG_DATA_HOME", str(settings.state_path.parent.parent / "data"))
    neon = LoraRef(loras / "styles/neon.safetensors", 0.8, 0.8)
    return [
        write_picture(settings.output / "c.png", 0, "a house", colour="blue", seed=9),
        write_picture(settings.output / "below" / "b.png", 0.1, "a cat", neon, steps=5),
        write_picture(settings.output / "a.png", 2, "a fox in snow", neon, cfg_scale=3.5),
    ]


@asynccontextmanager
async def gallery(start: Any, width: int = 120, height: int = 36) -> AsyncIterator[Driver]:
    async with start(width, height) as driver:
        await driver.load()
        await driver.press("P")
        assert isinstance(driver.app.screen, GalleryScreen)
        yield driver


def shown(driver: Driver) -> list[str]:
    screen = driver.app.screen
    assert isinstance(screen, GalleryScreen)
    return [row.path.stem for row in screen.grid.rows]


@pytest.mark.parametrize("size", [(60, 15), (120, 36)])
async def test_pictures_by_day_with_what_made_them(
    start: Any, pictures: list[Path], size: tuple[int, int]
) -> None:
    async with gallery(start, *size) as driver:
        await driver.until(lambda: shown(driver) == ["c", "b", "a"])
        await driver.sees("3 pictures", "Friday 27 November 2026 · 2", "a house", "base · seed 9")
        await driver.press("right")
        await driver.sees("a cat", "neon 0.80 · seed 7 · 64×64 · 5 steps")
        await driver.press("down")
        await driver.sees("Wednesday 25 November 2026 · 1", "a fox in snow", "CFG 3.5")
        await driver.until(lambda: "▀" in driver.text)
        await driver.press("escape")
        await driver.until(lambda: driver.app.screen is driver.app.main)


async def test_search(start: Any, pictures: list[Path]) -> None:
    async with gallery(start) as driver:
        await driver.until(lambda: len(shown(driver)) == 3)
        for typed, found in (
            ("cat", ["b"]), ("lora:neon", ["b", "a"]), ("seed:9", ["c"]),
            ("date:2026-11-25", ["a"]), ("date:2026-11", ["c", "b", "a"]),
            ("fox lora:neon", ["a"]), ("date:2026-13", []), ('"in snow"', ["a"]), ("fav:", []),
        ):  # fmt: skip
            await driver.press("slash")
            driver.app.screen.query_one("Input").value = typed  # type: ignore[attr-defined]
            await driver.until(lambda found=found: shown(driver) == found)
            await driver.press("escape")
        await driver.until(lambda: len(shown(driver)) == 3)


async def test_large_flip_beside_and_difference(start: Any, pictures: list[Path]) -> None:
    async with gallery(start) as driver:
        await driver.until(lambda: len(shown(driver)) == 3)
        await driver.press("space", "right", "enter")
        viewer = driver.app.screen
        assert isinstance(viewer, PictureViewer)

        def colour(side: str = "first") -> bytes:
            return viewer.query_one(f"#viewer-{side} > #half-cells", HalfCellPicture).cells.rgb[:3]

        red, blue = b"\xff\0\0", b"\0\0\xff"
        await driver.until(lambda: colour() == red)
        await driver.press("space")
        await driver.until(lambda: colour() == blue)
        await driver.sees("c.png")
        await driver.press("c")
        await driver.until(lambda: (colour(), colour("second")) == (red, blue))
        await driver.press("d")
        await driver.sees("up to 255 of 255, in 100.0% of the pixels")
        await driver.press("z", "right")
        await driver.sees("2×")
        await driver.press("escape")
        await driver.press("left", "space", "right", "enter")
        await driver.sees("b.png · neon 0.80 · seed 7 · 64×64 · 2 of 3")
        await driver.press("right")
        await driver.sees("3 of 3")


async def test_to_the_trash_and_back(start: Any, pictures: list[Path], tmp_path: Path) -> None:
    content = pictures[0].read_bytes()
    async with gallery(start) as driver:
        await driver.until(lambda: len(shown(driver)) == 3)
        await driver.press("d")
        await driver.until(lambda: shown(driver) == ["b", "a"])
        assert not pictures[0].exists()
        (kept,) = (tmp_path / "data/Trash/files").iterdir()
        assert kept.read_bytes() == content
        note = (tmp_path / "data/Trash/info/c.png.trashinfo").read_text()
        assert f"Path={pictures[0]}" in note
        await driver.press("u")
        await driver.until(lambda: shown(driver) == ["c", "b", "a"])
        assert pictures[0].read_bytes() == content
        assert not list((tmp_path / "data/Trash/info").iterdir())
        await driver.sees("c.png is back")


async def test_a_low_or_narrow_screen_says_how_to_leave(start: Any, pictures: list[Path]) -> None:
    async with gallery(start, 60, 15) as driver:
        await driver.sees("Gallery · 3 pictures · ? keys · Esc leaves")
        await driver.press("enter")
        await driver.sees("← → earlier, later · i infotext · ? keys · Esc back")
        await driver.pilot.resize_terminal(80, 24)
        await driver.sees("z Z zoom · ← → earlier, later · i infotext · ? keys · Esc back")
        await driver.press("escape")
        await driver.sees("Gallery · 3 pictures ", "? keys · Esc leaves")


async def test_favourites_stay(start: Any, pictures: list[Path]) -> None:
    async with gallery(start) as driver:
        await driver.until(lambda: len(shown(driver)) == 3)
        await driver.press("f")
        await driver.sees("★")
        await driver.press("escape", "P", "slash", *"fav:")
        await driver.until(lambda: shown(driver) == ["c"])


async def test_use_again_and_more_like_this(
    start: Any, pictures: list[Path], loras: Path, settings: AppSettings
) -> None:
    async with gallery(start) as driver:
        await driver.until(lambda: len(shown(driver)) == 3)
        await driver.press("end")
        await driver.sees("a fox in snow")
        await driver.press("c")
        await driver.until(lambda: driver.app.control.state.prompt == "a fox in snow")
        state = driver.app.control.state
        assert (state.cfg_scale, state.seed, state.width) == (3.5, 7, 64)
        wanted = (LoraRef(loras / "styles/neon.safetensors", 0.8, 0.8),)
        assert driver.session.sent(SetStack)[-1].stack == wanted
        assert driver.app.screen is driver.app.main
        # One key takes all of it back.
        await driver.until(lambda: driver.app.undo._done)
        before = driver.app.control.state
        await driver.press("u")
        await driver.until(lambda: driver.app.control.state.prompt != "a fox in snow")
        assert driver.app.control.state.cfg_scale != 3.5
        assert driver.session.sent(SetStack)[-1].stack == ()
        driver.app.control.state = before
        await driver.press("P", "right", "m")
        await driver.until(lambda: driver.session.sent(Draw))
        drawn = driver.session.sent(Draw)[-1].request
        assert (drawn.prompt, drawn.steps) == ("a cat", 5)
        assert drawn.seed != 7
        assert drawn.output == settings.output


async def test_a_lora_that_is_gone_is_named_with_its_hash(
    start: Any, pictures: list[Path], settings: AppSettings, loras: Path
) -> None:
    extra = loras / "extra.safetensors"
    extra.write_bytes((loras / "aya.safetensors").read_bytes())
    digest = hash_file(extra).autov3
    write_picture(settings.output / "d.png", -1, "a boat", LoraRef(extra, 0.5))
    extra.unlink()
    async with gallery(start, 120, 36) as driver:
        await driver.until(lambda: shown(driver)[:1] == ["d"])
        await driver.press("c")
        await driver.sees(f"Not here: extra ({digest})")
        await driver.press("down", "enter")
        assert driver.app.control.state.prompt != "a boat"
        await driver.press("P", "c")
        await driver.sees("Not here")
        await driver.press("enter")
        await driver.until(lambda: driver.app.control.state.prompt == "a boat")


async def test_a_preview_for_its_lora_asks_before_it_replaces_one(
    start: Any, pictures: list[Path], loras: Path
) -> None:
    preview = loras / "styles/neon.preview.png"
    async with gallery(start) as driver:
        await driver.until(lambda: len(shown(driver)) == 3)
        await driver.press("right")
        await driver.sees("a cat")
        await driver.press("V")
        await driver.until(preview.exists)
        image = Image.open(preview)
        assert image.getpixel((5, 5)) == (255, 0, 0)
        assert image.info == {}
        Image.new("RGB", (8, 8), "blue").save(preview)
        await driver.press("V")
        await driver.sees("neon has a preview")
        await driver.press("down", "enter")
        assert Image.open(preview).getpixel((5, 5)) == (0, 0, 255)
        await driver.press("V", "enter")
        await driver.until(lambda: Image.open(preview).size == (64, 64))
        await driver.press("u")
        await driver.sees("the preview of neon is taken back")
        assert Image.open(preview).getpixel((5, 5)) == (0, 0, 255)
        await driver.press("u")
        await driver.until(
            lambda: any("another file is there now" in toast for toast in driver.toasts)
        )
        preview.unlink()
        await driver.press("u", "u")
        await driver.sees("There is nothing to take back")
        assert not preview.exists()


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GalleryRecords:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return GalleryRecords(tmp_path / "a.db", ())


def test_two_previews_of_one_lora_are_taken_back_one_by_one(
    records: GalleryRecords, tmp_path: Path
) -> None:
    lora = tmp_path / "ink.safetensors"
    for colour in ("red", "blue"):
        picture = write_picture(tmp_path / f"{colour}.png", 0, "a fox", colour=colour)
        records.write_preview(picture, lora)
    preview = preview_place(lora)
    assert Image.open(preview).getpixel((5, 5)) == (0, 0, 255)
    assert records.take_back() == "the preview of ink is taken back"
    assert Image.open(preview).getpixel((5, 5)) == (255, 0, 0)
    assert records.take_back() == "the preview of ink is taken back"
    assert not preview.exists()
    assert records.take_back() == ""


def test_what_cannot_be_taken_back_does_not_hold_up_the_others(
    records: GalleryRecords, tmp_path: Path
) -> None:
    first, second = (write_picture(tmp_path / f"{name}.png", 0, "a fox") for name in "ab")
    records.throw_away(first)
    records.throw_away(second)
    second.write_bytes(b"another")
    with pytest.raises(EngineError, match="another file is there now"):
        records.take_back()
    assert records.take_back() == "a.png is back"
    second.unlink()
    assert records.take_back() == "b.png is back"


def test_a_second_undo_waits_for_the_first(
    records: GalleryRecords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("a.png", "b.png")
    for name in names:
        records.throw_away(write_picture(tmp_path / name, 0, "a fox"))
    first_is_in, restored = threading.Event(), threading.Event()
    order, restore = [], Trashed.restore

    def slow(trashed: Trashed) -> Path:
        order.append(f"{trashed.original.name} begins")
        first_is_in.set()
        restored.wait(30)
        path = restore(trashed)
        order.append(f"{path.name} ends")
        return path

    monkeypatch.setattr(Trashed, "restore", slow)
    with ThreadPoolExecutor(2) as threads:
        undos = [threads.submit(records.take_back)]
        assert first_is_in.wait(30)
        undos.append(threads.submit(records.take_back))
        assert not wait(undos, 0.2).done
        restored.set()
        assert [undo.result() for undo in undos] == ["b.png is back", "a.png is back"]
    assert order == ["b.png begins", "b.png ends", "a.png begins", "a.png ends"]
    assert records.take_back() == ""


async def test_copy_by_a_menu(start: Any, pictures: list[Path]) -> None:
    async with gallery(start) as driver:
        await driver.until(lambda: len(shown(driver)) == 3)
        await driver.press("y")
        await driver.sees("Prompt", "Infotext", "Path")
        await driver.press("enter")
        assert driver.app.clipboard == "a house"
        await driver.press("y", "end", "enter")
        await driver.until(lambda: driver.app.clipboard == str(pictures[0]))


async def test_the_infotext_is_read_where_the_picture_is(start: Any, pictures: list[Path]) -> None:
    async with gallery(start, 80, 24) as driver:
        await driver.until(lambda: len(shown(driver)) == 3)
        await driver.press("i")
        await driver.sees("c.png", "Steps: 28, Sampler: DPM++ 2M, Seed: 9", "y copies")
        await driver.press("y", "escape")
        assert driver.app.clipboard.startswith("a house\nSteps: 28")
        await driver.press("right", "enter", "i")
        await driver.sees("b.png", "a cat")
        await driver.press("escape", "escape")
        assert shown(driver) == ["c", "b", "a"]


async def test_keys_of_the_gallery_are_told_where_they_work(
    start: Any, pictures: list[Path]
) -> None:
    async with gallery(start, 80, 24) as driver:
        await driver.until(lambda: len(shown(driver)) == 3)
        await driver.press("space")
        await driver.sees("1 marked: Enter on another compares")
        await driver.press("question_mark")
        await driver.sees("Gallery", "Mark a picture to compare others with")
        await driver.press("slash", *"new seed")
        await driver.sees("Draw with its settings and a new seed")
        assert "Mark a picture" not in driver.text
        await driver.press("escape", "escape", "right", "enter", "f1")
        await driver.sees("The other picture, in the same place")
        await driver.press("q")
        assert isinstance(driver.app.screen, PictureViewer)


def test_files_of_others_new_ones_and_broken_ones(tmp_path: Path) -> None:
    from engine.gallery.scan import scan_pictures
    from engine.store.database import Database
    from engine.store.pictures import PICTURES, PictureStore

    (tmp_path / "out").mkdir()
    write_picture(tmp_path / "out/a.png", 0, "a fox")
    (tmp_path / "out/broken.png").write_bytes(b"nothing")
    (tmp_path / "out/loop").symlink_to(tmp_path / "out")
    (tmp_path / "out/circle.png").symlink_to("circle.png")
    (tmp_path / "out/dangling.png").symlink_to("nowhere.png")
    os.mkfifo(tmp_path / "out/pipe.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "out/plain.webp")
    (tmp_path / "out/notes.txt").write_text("x")
    folders = (tmp_path / "out", tmp_path / "not there")
    with Database(tmp_path / "a.db", PICTURES) as database:
        store = PictureStore(database)
        report = scan_pictures(store, folders)
        assert (report.found, report.read, report.problems) == (3, 3, 1)
        assert scan_pictures(store, folders).read == 0
        (tmp_path / "out/a.png").rename(tmp_path / "out/b.png")
        report = scan_pictures(store, folders)
        assert (report.read, report.gone) == (1, 1)
        assert {row.path.stem for row in store.find()} == {"b", "broken", "plain"}
        # Those that the host drew elsewhere are followed too.
        other = write_picture(tmp_path / "elsewhere/c.png", 0, "a cat")
        scan_pictures(store, [tmp_path / "elsewhere"])
        assert scan_pictures(store, folders).gone == 0
        other.unlink()
        assert scan_pictures(store, folders).gone == 1
        # A drive that is not there keeps its pictures.
        roots = (tmp_path / "drive/out",)
        (tmp_path / "drive").mkdir()
        (tmp_path / "out").rename(tmp_path / "drive/out")
        scan_pictures(store, roots)
        (tmp_path / "drive").rename(tmp_path / "away")
        assert scan_pictures(store, roots).gone == 0
        assert len(store.find()) == 3


def test_a_picture_that_is_recorded_during_a_scan_is_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.gallery.scan import scan_pictures
    from engine.store.database import Database
    from engine.store.pictures import PICTURES, PictureStore, StoredPicture

    known = PictureStore.known

    def meanwhile(store: PictureStore, folder: Path) -> dict[bytes, tuple[int, int]]:
        late = write_picture(folder / "late.png", 0, "a fox")
        store.record([StoredPicture(late, 1.0, 1, 1, 8, 8)])
        return known(store, folder)

    monkeypatch.setattr(PictureStore, "known", meanwhile)
    with Database(tmp_path / "a.db", PICTURES) as database:
        (tmp_path / "out").mkdir()
        assert scan_pictures(PictureStore(database), [tmp_path / "out"]).gone == 0
        assert [row.path.stem for row in PictureStore(database).find()] == ["late"]


@pytest.mark.parametrize("columns", [1, 3, 7])
def test_where_pictures_lie(columns: int) -> None:
    rows = [PictureRow(n, b"/%d" % n, NOON - n // 10 * DAY, 8, 8, 0) for n in range(35)]
    days = Days(rows, columns, 9)
    assert sum(block.count for block in days.blocks if block.heading) == 35
    seen = [n for b in days.blocks if not b.heading for n in range(b.first, b.first + b.count)]
    assert seen == list(range(35))
    for number in range(35):
        block = days.row_of(number)
        assert block is not None
        assert days.block_at(block.top) == block
        assert days.block_at(block.top + 8) == block
    assert days.block_at(-1) is None
    assert days.block_at(days.lines) is None
    number, steps = 0, 0
    while (after := days.beside(number, 1)) != number:
        number, steps = after, steps + 1
    assert number == 34
    assert Days((), columns, 9).beside(0, 1) == 0
