"""The trash: as freedesktop.org has it, and back from it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from engine.errors import EngineError
from engine.files.trash import to_trash


@pytest.fixture
def trash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "Trash"


def test_names_that_are_taken_and_odd_ones(trash: Path, tmp_path: Path) -> None:
    path = tmp_path / "a 100% fox\udcff.png"
    kept = []
    for content in (b"one", b"two"):
        path.write_bytes(content)
        kept.append(to_trash(path))
        assert not path.exists()
    assert [one.kept.read_bytes() for one in kept] == [b"one", b"two"]
    for one in kept:
        assert one.kept.parent == trash / "files"
        assert one.info is not None
        assert one.info == trash / "info" / f"{one.kept.name}.trashinfo"
        head, where, date = one.info.read_text().splitlines()
        assert head == "[Trash Info]"
        assert unquote(where.removeprefix("Path="), errors="surrogateescape") == str(path)
        assert date.startswith("DeletionDate=20")
    assert kept[1].restore() == path
    assert path.read_bytes() == b"two"
    with pytest.raises(EngineError, match="another file is there"):
        kept[0].restore()
    assert kept[0].kept.read_bytes() == b"one"
    path.unlink()
    kept[0].restore()
    assert path.read_bytes() == b"one"
    assert [*(trash / "files").iterdir(), *(trash / "info").iterdir()] == []


def test_what_stays_in_the_trash_is_no_fault(
    trash: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fox.png"
    path.write_bytes(b"one")
    trashed = to_trash(path)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(self)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert trashed.restore().read_bytes() == b"one"


def test_what_is_not_there_is_said_and_leaves_no_note(trash: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"nothing\.png: cannot be put into the trash"):
        to_trash(tmp_path / "nothing.png")
    assert not list(trash.rglob("*.trashinfo"))
