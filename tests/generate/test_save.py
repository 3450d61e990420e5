"""Saving: numbered, whole, never in place of another file, errors in plain words."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from engine.errors import EngineError, FileFormatError
from engine.generate.save import read_infotext, save_picture


def picture() -> Image.Image:
    return Image.new("RGB", (8, 8), "red")


def test_numbers_on_from_the_highest_and_keeps_the_infotext(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert save_picture(picture(), folder, 7, "plain").name == "00001-7.png"
    (folder / "00041-1.png").touch()
    (folder / "notes-00099.png").touch()
    path = save_picture(picture(), folder, 8, "a fox\nNegative prompt: 狐 \udc80")
    assert path.name == "00042-8.png"
    assert read_infotext(path) == "a fox\nNegative prompt: 狐 ?"
    assert Image.open(path).getpixel((0, 0)) == (255, 0, 0)
    assert not list(folder.glob(".*"))


def test_many_at_once_never_overwrite_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        texts = [f"picture {i}" for i in range(24)]
        paths = list(pool.map(lambda text: save_picture(picture(), tmp_path, 5, text), texts))
    assert len(set(paths)) == 24
    assert [read_infotext(path) for path in paths] == texts


def test_a_taken_name_moves_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "00001-7.png").write_bytes(b"mine")
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(()))
    assert save_picture(picture(), tmp_path, 7, "").name == "00002-7.png"
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
        save_picture(picture(), tmp_path, 7, "")
    assert str(tmp_path) in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(EngineError, match="is not a folder"):
            save_picture(picture(), folder, 7, "")


@pytest.mark.parametrize("ending", ["jpg", "webp"])
@pytest.mark.parametrize("codec", ["utf-16-be", "utf-16-le"])
def test_reads_the_comment_of_jpeg_and_webp(tmp_path: Path, ending: str, codec: str) -> None:
    exif = Image.Exif()
    comment = b"UNICODE\0" + "a fox, Steps: 3".encode(codec)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    path = tmp_path / f"picture.{ending}"
    picture().save(path, exif=exif)
    assert read_infotext(path) == "a fox, Steps: 3"


def test_pictures_without_infotext_and_no_pictures(tmp_path: Path) -> None:
    picture().save(tmp_path / "bare.png")
    assert read_infotext(tmp_path / "bare.png") is None
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(FileFormatError, match=r"text\.png"):
        read_infotext(tmp_path / "text.png")
