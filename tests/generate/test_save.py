"""Saving: numbered, whole, never in place of another file, errors in plain words."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from engine.errors import EngineError, FileFormatError
from engine.generate import save
from engine.generate.save import (
    FinishedPicture,
    read_infotext,
    require_folder,
    save_or_rescue,
    save_picture,
)
from engine.protocol.making import Making
from engine.protocol.request import GenerateRequest


def picture() -> Image.Image:
    return Image.new("RGB", (8, 8), "red")


def finished(folder: Path, seed: int = 7, text: str = "", **settings: Any) -> FinishedPicture:
    making = Making(GenerateRequest("a fox", folder, seed=seed, **settings))
    return FinishedPicture(picture(), text, making, "sd_xl", 0.0)


def test_numbers_on_from_the_highest_and_keeps_the_infotext(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert save_picture(finished(folder, 7, "plain")).name == "00001-7.png"
    (folder / "00041-1.png").touch()
    (folder / "notes-00099.png").touch()
    path = save_picture(finished(folder, 8, "a fox\nNegative prompt: 狐 \udc80"))
    assert path.name == "00042-8.png"
    assert read_infotext(path) == "a fox\nNegative prompt: 狐 ?"
    assert Image.open(path).getpixel((0, 0)) == (255, 0, 0)
    assert not list(folder.glob(".*"))


def test_many_at_once_never_overwrite_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        texts = [f"picture {i}" for i in range(24)]
        paths = list(pool.map(lambda text: save_picture(finished(tmp_path, 5, text)), texts))
    assert len(set(paths)) == 24
    assert [read_infotext(path) for path in paths] == texts


def test_a_taken_name_moves_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "00001-7.png").write_bytes(b"mine")
    monkeypatch.setattr(os, "scandir", lambda _: nullcontext(()))
    assert save_picture(finished(tmp_path)).name == "00002-7.png"
    assert (tmp_path / "00001-7.png").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "no space"), (errno.EROFS, "not permitted"), (errno.EIO, "Input/output error")],
)
def test_errors_are_sentences_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(EngineError, match=words) as refusal:
        save_picture(finished(tmp_path))
    assert str(tmp_path) in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(EngineError, match="is not a folder"):
            save_picture(finished(folder))


def test_names_of_strangers_do_not_count(tmp_path: Path) -> None:
    for name in ("9" * 200 + "-1.png", "٣-1.png", "-5-1.png", "7.png", "8-1.png.bak"):
        (tmp_path / name).touch()
    assert save_picture(finished(tmp_path)).name == "00001-7.png"


def test_a_folder_is_refused_before_anything_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_folder(tmp_path)
    require_folder(tmp_path / "made" / "later")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        with pytest.raises(EngineError, match=r"was not saved in .*\."):
            require_folder(folder)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(EngineError, match="not permitted"):
        require_folder(tmp_path / "made" / "later")


def full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a folder have no space left."""
    write_new = save.write_new

    def write(into: Path, *rest: object) -> Path:
        if into == folder:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_new(into, *rest)

    monkeypatch.setattr(save, "write_new", write)


def test_a_picture_that_cannot_be_saved_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, temporary = tmp_path / "disk", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    full(disk, monkeypatch)
    paths = []
    for seed in (7, 8):
        path, words = save_or_rescue(finished(disk, seed, "a fox"))
        assert words is not None
        assert str(disk) in words
        assert "no space" in words
        assert str(path) in words
        assert read_infotext(path) == "a fox"
        paths.append(path)
    assert [path.name for path in paths] == ["00001-7.png", "00002-8.png"]
    assert {path.parent.parent for path in paths} == {temporary}
    assert paths[0].parent.stat().st_mode & 0o077 == 0
    assert save_or_rescue(finished(tmp_path / "other"))[1] is None


def test_other_users_folders_are_no_refuge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where everybody writes, a name of ours may be somebody's trap."""
    disk, temporary, trap = (tmp_path / name for name in ("disk", "temporary", "trap"))
    temporary.mkdir()
    trap.mkdir()
    (temporary / f"loraswitch-pictures-{os.getuid()}").symlink_to(trap)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(save, "_IN_MEMORY", tmp_path / "nowhere")
    full(disk, monkeypatch)
    with pytest.raises(EngineError, match="no space"):
        save_or_rescue(finished(disk))
    assert list(trap.iterdir()) == []


@pytest.mark.parametrize("ending", ["jpg", "webp"])
@pytest.mark.parametrize("codec", ["utf-16-be", "utf-16-le"])
def test_reads_the_comment_of_jpeg_and_webp(tmp_path: Path, ending: str, codec: str) -> None:
    exif = Image.Exif()
    comment = b"UNICODE\0" + "a fox, Steps: 3".encode(codec)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    path = tmp_path / f"picture.{ending}"
    picture().save(path, exif=exif)
    assert read_infotext(path) == "a fox, Steps: 3"


@pytest.mark.parametrize("prefix", [b"ASCII\0\0\0", bytes(8), b""])
def test_reads_comments_of_other_encodings(tmp_path: Path, prefix: bytes) -> None:
    exif = Image.Exif()
    comment = prefix + '{"prompt": "狐"}'.encode()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    picture().save(tmp_path / "picture.jpg", exif=exif)
    assert read_infotext(tmp_path / "picture.jpg") == '{"prompt": "狐"}'


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_reads_the_comment_where_fooocus_puts_it(tmp_path: Path, ending: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.UserComment] = '{"prompt": "a fox"}'
    picture().save(tmp_path / f"picture.{ending}", exif=exif)
    assert read_infotext(tmp_path / f"picture.{ending}") == '{"prompt": "a fox"}'


def test_pictures_without_infotext_and_no_pictures(tmp_path: Path) -> None:
    picture().save(tmp_path / "bare.png")
    assert read_infotext(tmp_path / "bare.png") is None
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(FileFormatError, match=r"text\.png"):
        read_infotext(tmp_path / "text.png")
