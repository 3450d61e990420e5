"""A folder that takes no pictures: another is offered, and nothing is lost."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs
from PIL import Image
from textual.widgets import Input

from engine.gallery.move import move_picture
from engine.protocol.commands import Draw, MovePicture
from engine.protocol.events import CommandFailed, GenerationFinished, PictureSaved
from engine.protocol.request import GenerateRequest
from engine.store.database import Database
from engine.store.pictures import PICTURES, PictureStore, StoredPicture
from tests.tui.conftest import Driver
from tui_loraswitch.screens.line import LineScreen

TROUBLE = "The picture was not saved in /full: no space is left there."


def rescued(folder: Path, name: str = "00001-7.png") -> PictureSaved:
    """A picture that lies elsewhere for now."""
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (64, 64), "red").save(folder / name)
    return PictureSaved(folder / name, 7, 64, 64, 4, f"a fox {name}", 1.0, TROUBLE)


async def draw(driver: Driver, picture: PictureSaved) -> None:
    await driver.press("g")
    await driver.begin_picture()
    await driver.emit(picture, GenerationFinished((picture,), 1.0, (TROUBLE,)))


async def draw_unseen(driver: Driver, picture: PictureSaved) -> None:
    """As another screen asks for it."""
    driver.session.send(Draw(GenerateRequest("a cat", picture.path.parent)))
    await driver.begin_picture()
    await driver.emit(picture, GenerationFinished((picture,), 1.0, (TROUBLE,)))


async def ready(driver: Driver) -> None:
    await driver.load()
    driver.app.control.state = structs.replace(driver.app.control.state, prompt="a fox")


async def answer(driver: Driver, folder: Path) -> None:
    await driver.until(lambda: isinstance(driver.app.screen, LineScreen))
    driver.app.screen.query_one(Input).value = str(folder)
    await driver.press("enter")


def paths(driver: Driver) -> list[Path]:
    return [picture.path for picture in driver.session.view.pictures]


@pytest.mark.parametrize("size", [(60, 15), (80, 24)])
async def test_a_picture_goes_where_the_user_says_and_so_do_the_next(
    start, settings, tmp_path: Path, size
) -> None:
    aside, chosen, taken = tmp_path / "aside", tmp_path / "chosen", tmp_path / "taken"
    taken.write_text("no folder")
    first = rescued(aside)
    with Database(settings.store_path, PICTURES) as database:
        PictureStore(database).record([StoredPicture(first.path, 5.0, 1, 1, 64, 64)])
    async with start(*size) as driver:
        await ready(driver)
        await draw(driver, first)
        await driver.sees("Another folder", "no space is left")
        await answer(driver, taken)
        # Where its words wrap depends on the length of the path.
        await driver.until(lambda: "is not a folder" in getattr(driver.app.screen, "_hint", ""))
        await answer(driver, chosen)
        moved = chosen / "00001-7.png"
        await driver.until(lambda: paths(driver) == [moved])
        assert not first.path.exists()
        await driver.until(lambda: driver.app.main.picture.shown_file == moved)
        assert driver.app.control.settings.output == chosen
        # A job of before still goes to the full folder; nobody is asked again.
        await draw(driver, rescued(aside))
        await driver.until(lambda: paths(driver) == [moved, chosen / "00001-7-2.png"])
        assert driver.session.sent(Draw)[-1].request.output == chosen
        assert driver.app.screen is driver.app.main
    with Database(settings.store_path, PICTURES) as database:
        assert [row.path for row in PictureStore(database).find()] == [moved]


async def test_nobody_is_asked_any_more_when_another_screen_has_answered(
    start, tmp_path: Path
) -> None:
    async with start() as driver:
        await ready(driver)
        first, second = (rescued(tmp_path / "aside", f"0000{number}-7.png") for number in (1, 2))
        await draw(driver, first)
        await driver.sees("Another folder")
        await draw_unseen(driver, second)
        chosen = tmp_path / "chosen"
        driver.session.send(MovePicture(first.path, chosen / "00001-7.png"))
        await driver.pilot.pause()
        await driver.sees("Another folder")
        driver.session.send(MovePicture(second.path, chosen / "00002-7.png"))
        await driver.until(lambda: driver.app.screen is driver.app.main)
        assert driver.toasts == [f"Another screen has moved the pictures: {chosen}."]


async def test_left_where_it_is_it_is_said_where(start, tmp_path: Path) -> None:
    async with start() as driver:
        await ready(driver)
        picture = rescued(tmp_path / "aside")
        await draw(driver, picture)
        await driver.sees("Another folder")
        await driver.press("escape")
        await driver.until(lambda: any("move it before" in text for text in driver.toasts))
        assert picture.path.exists()


async def test_what_was_not_begun_is_drawn_in_another_folder(start, settings, tmp_path) -> None:
    settings.output.parent.mkdir(parents=True, exist_ok=True)
    settings.output.write_text("no folder")
    async with start() as driver:
        await ready(driver)
        await driver.press("g")
        await driver.emit(CommandFailed("draw", TROUBLE))
        await answer(driver, tmp_path / "chosen")
        await driver.until(lambda: len(driver.session.sent(Draw)) == 2)
        first, again = (sent.request for sent in driver.session.sent(Draw))
        assert again == replace(first, output=tmp_path / "chosen")
        assert "no space" not in "".join(driver.toasts)
        # What has another cause is said.
        await driver.emit(CommandFailed("draw", "The GPU has not enough memory."))
        await driver.until(lambda: any("memory" in text for text in driver.toasts))


def test_a_move_that_fails_leaves_the_picture(tmp_path: Path, monkeypatch) -> None:
    picture = rescued(tmp_path / "aside")
    assert move_picture(tmp_path / "gone.png", tmp_path, tmp_path / "store.db") is None

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(Exception, match="no space is left"):
        move_picture(picture.path, tmp_path / "other", tmp_path / "store.db")
    assert picture.path.exists()
    assert list((tmp_path / "other").iterdir()) == []
