"""The index gives back what was stored, and survives damage and folders it cannot write."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from engine.library import index as index_module
from engine.library.columns import Columns
from engine.library.entry import LibraryEntry, TriggerWords
from engine.library.index import LibraryIndex
from engine.library.indexed_file import indexed
from engine.library.list_row import ListRow, file_id
from engine.library.packs import Pack

ROOT = Path("/loras")
FULL = LibraryEntry(
    path=ROOT / "a/neon \udcff.safetensors",
    root=ROOT,
    size=2**40,
    mtime_ns=1_700_000_000_123_456_789,
    inode=2**63 + 5,
    family="LoRA",
    rank=8,
    alpha=4.0,
    base_model="SDXL",
    base_evidence="attn2 width 2048",
    modules=722,
    parts=("UNet", "TE1"),
    title="Neon 霓虹",
    description="line\nline",
    author="someone",
    licence="MIT",
    trigger_words=(TriggerWords("Civitai", ("neon", "glow")),),
    tags=(("night", 9), ("rain", 0)),
    preferred_strength=0.0,
    negative_text="day",
    notes="mine",
    previews=(ROOT / "a/neon.png", ROOT / "a/neon.jpeg"),
    problems=("a/neon.json: there is no such file.",),
    metadata=(("ss_epoch", "1"),),
    error="",
)
BARE = LibraryEntry(ROOT / "b.safetensors", ROOT, 0, 0, 0, error="b: truncated.")


def stamps(index: LibraryIndex) -> dict[Path, str]:
    return {Path(path): file.stamp for path, file in index.known(ROOT).items()}


def test_entries_come_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "index.sqlite"
    with LibraryIndex(path) as index:
        index.store([indexed("stamp", FULL), indexed("other", BARE)])
        assert index.warning == ""
    with LibraryIndex(path) as index:
        assert stamps(index) == dict.fromkeys((FULL.path, BARE.path), ""), (
            "what has problems is read again"
        )
        assert index.load([ROOT, ROOT]) == [FULL, BARE]
        assert index.load([Path("/other")]) == []
        sound = replace(FULL, rank=16, problems=())
        index.store([indexed("newer", sound)])
        index.forget([file_id(ROOT, BARE.path)])
        assert stamps(index) == {FULL.path: "newer"}
    with LibraryIndex(path) as index:
        assert stamps(index) == {FULL.path: "newer"}
        assert index.load([ROOT]) == [sound]


def test_what_was_read_of_a_damaged_file_is_not_taken_for_what_the_new_one_holds(
    tmp_path: Path,
) -> None:
    def fail(database: sqlite3.Connection) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with LibraryIndex(tmp_path / "index.sqlite") as index:
        index.store([indexed("stamp", BARE)])
        assert index.load([ROOT]) == [BARE]
        index._file.change(fail)
        assert "built anew" in index.warning
        assert index.known(ROOT) == {}
        index.store([indexed("stamp", BARE)])
        assert index.load([ROOT]) == [BARE]


def test_other_version_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    with LibraryIndex(path) as index:
        index.store([indexed("stamp", BARE)])
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 999")
    database.close()
    with LibraryIndex(path) as index:
        assert index.load([ROOT]) == []
        assert index.warning == ""


def test_file_that_is_no_index_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"this is not a database, it is something else" * 100)
    with LibraryIndex(path) as index:
        assert "damaged" in index.warning
        index.store([indexed("stamp", BARE)])
    assert (tmp_path / "index.sqlite.damaged").read_bytes().startswith(b"this is not")
    with LibraryIndex(path) as index:
        assert index.load([ROOT]) == [BARE]
        assert index.warning == ""


def test_damage_found_later_is_set_aside_too(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    with LibraryIndex(path) as index:
        index.store([indexed(f"{n}", replace(FULL, path=ROOT / f"{n}.x")) for n in range(500)])
    raw = bytearray(path.read_bytes())
    raw[8192:] = b"\xaa" * (len(raw) - 8192)
    path.write_bytes(raw)
    with LibraryIndex(path) as index:
        assert index.load([ROOT]) == []
        assert "damaged" in index.warning
        index.store([indexed("stamp", BARE)])
        assert index.load([ROOT]) == [BARE]


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("entry", ""),
        ("entry", "{"),
        ("entry", "[]"),
        ("entry", "{}"),
        ("entry", '{"size": 1}'),
        ("entry", '{"trigger_words": 5}'),
        ("tags", "one line alone"),
        ("tags", "tag\nno number"),
        ("metadata", "a\nb\nc"),
        ("metadata", 5),
    ],
)
def test_row_that_makes_no_sense_is_left_out(tmp_path: Path, column: str, text: object) -> None:
    path = tmp_path / "index.sqlite"
    with LibraryIndex(path) as index:
        index.store([indexed("stamp", BARE), indexed("stamp", FULL)])
    database = sqlite3.connect(path)
    with database:
        database.execute(f"UPDATE entries SET {column} = ? WHERE entry LIKE '%truncated%'", (text,))
    database.close()
    with LibraryIndex(path) as index:
        assert index.load([ROOT]) == [FULL]
        assert index.entry(file_id(ROOT, BARE.path)) is None
        assert index.doubt(), "its file is read again"


def test_where_nothing_can_be_written_the_index_lives_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with LibraryIndex(tmp_path / "file" / "index.sqlite") as index:
        assert "cannot be kept here (what is there is not a folder)" in index.warning
        index.store([indexed("stamp", BARE)])
        assert index.load([ROOT]) == [BARE]


def test_locked_index_is_replaced_by_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.library.index_file._BUSY_SECONDS", 0.0)
    path = tmp_path / "index.sqlite"
    with LibraryIndex(path) as index:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        index.store([indexed("stamp", BARE)])
        other.close()
        assert "locked" in index.warning
        assert path.exists()


def test_files_of_one_name_have_numbers_of_their_own(tmp_path: Path) -> None:
    paths = [tmp_path / f"style {number}" / "last.safetensors" for number in range(20_000)]
    assert len({file_id(tmp_path, path) for path in paths}) == len(paths)


def listed(index: LibraryIndex, root: Path = ROOT) -> list[ListRow]:
    folders, found = index.listed([root])
    assert found.keys() <= folders.keys()
    return [row for folder, columns in found.items() for row in columns.rows(folder)]


def packs(path: Path) -> int:
    database = sqlite3.connect(path)
    ((count,),) = database.execute("SELECT count(*) FROM packs")
    database.close()
    return int(count)


@pytest.mark.parametrize("is_packed", [False, True])
def test_rows_come_back_as_they_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_packed: bool
) -> None:
    """In pieces too, each folder by name; those of other library folders stay away."""
    monkeypatch.setattr(index_module, "_PART", 3)
    monkeypatch.setattr(index_module, "_FOLDERS_AT_ONCE", 2)
    names = ("v10", "é\u0301 \U0001f98a", "a'\"\\b", "v2", "x" * 200, "7", "ﬁ")
    mine = [
        indexed("s", replace(FULL, path=ROOT / f"f{n % 3}/{name}.safetensors", favourite=n > 3))
        for n, name in enumerate(names)
    ]
    other = indexed("s", replace(FULL, path=Path("/b/v.safetensors"), root=Path("/b")))
    with LibraryIndex(tmp_path / "index.sqlite") as index:
        index.store([*mine, other])
        if is_packed:
            index.pack([ROOT, Path("/b")])
            assert packs(tmp_path / "index.sqlite") == 4
        rows = listed(index)
        folders, _ = index.listed([ROOT])
    assert sorted(rows) == sorted(file.row for file in mine)
    by_folder = [[row.sort for row in rows if row.folder == folder] for folder in folders]
    assert by_folder == list(map(sorted, by_folder))
    assert {folder.path for folder in folders.values()} == {"f0", "f1", "f2"}


def test_pack_goes_with_any_change_of_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    neon, ink = (
        indexed("s", replace(FULL, path=ROOT / folder / "a.safetensors")) for folder in ("f", "g")
    )
    larger = replace(FULL, path=ROOT / "f/a.safetensors", size=5)
    added = indexed("s", replace(FULL, path=ROOT / "f/b.safetensors"))
    with LibraryIndex(path) as index, LibraryIndex(path) as another:
        index.store([neon, ink])
        changes = (
            lambda: another.store([indexed("s", larger)]),
            lambda: another.store([added]),
            lambda: another.miss({neon.row.id: "offline"}),
            lambda: another.forget([neon.row.id]),
        )
        for change in changes:
            index.pack([ROOT])
            assert packs(path) == 2
            change()
            assert packs(path) == 1
        assert sorted(listed(index)) == sorted([added.row, ink.row])
        index.pack([ROOT], lambda: True)
        assert packs(path) == 1, "it was stopped"


@pytest.mark.parametrize("value", ["x'ff00'", "CAST(x'ff' AS TEXT)"])
def test_rows_that_make_no_sense_begin_the_index_anew(tmp_path: Path, value: str) -> None:
    begins_anew_after(f"UPDATE rows SET text = {value}", tmp_path / "index.sqlite")


@pytest.mark.parametrize("value", ["'nonsense'", "x'ff00'", "'[1]'", "'\"AAAA\"'"])
def test_packs_that_make_no_sense_begin_the_index_anew(tmp_path: Path, value: str) -> None:
    begins_anew_after(f"UPDATE packs SET pack = {value}", tmp_path / "index.sqlite")


def begins_anew_after(statement: str, path: Path) -> None:
    with LibraryIndex(path) as index:
        index.store([indexed("stamp", BARE)])
        index.pack([ROOT])
    database = sqlite3.connect(path)
    with database:
        assert database.execute(statement).rowcount == 1
    database.close()
    with LibraryIndex(path) as index:
        assert listed(index) == []
        assert "built anew" in index.warning
        index.store([indexed("stamp", BARE)])
        assert len(listed(index)) == 1


def test_columns_of_different_lengths_are_no_pack() -> None:
    columns = Columns.of([indexed("stamp", FULL).row])
    sound = Pack.of(1, columns)
    assert sound.columns == columns
    for changed in (
        sound._replace(id=b""),
        sound._replace(size=b"odd"),
        sound._replace(base=[("sdxl", 2)]),
        sound._replace(text=[]),
    ):
        with pytest.raises(ValueError, match="length"):
            _ = changed.columns
