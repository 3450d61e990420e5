"""What a query finds, and the orders of a list."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.library.entry import LibraryEntry, TriggerWords
from engine.library.list_row import natural_key
from engine.library.orders import SortOrder
from engine.library.query import Query, Term
from engine.library.search import (
    SearchIndex,
    filter_entries,
    sort_entries,
)

ROOT = Path("/loras")


def entry(name: str, *, size: int = 1, mtime_ns: int = 1, **values: object) -> LibraryEntry:
    return LibraryEntry(
        ROOT / f"{name}.safetensors", ROOT, size, mtime_ns, 1, **values  # type: ignore[arg-type]
    )  # fmt: skip


NEON = entry(
    "styles/Neon_Glow",
    base_model="SDXL",
    base_variant="Pony",
    tags=(("night city", 9), ("rain", 2)),
    trigger_words=(TriggerWords("Civitai", ("glowing lights",)),),
)
INK = entry("styles/old/ink_wash", base_model="SD 1.5", title="Tinte für Fuchs")
CAFE = entry("characters/cafe\u0301 girl")
ALL = (NEON, INK, CAFE)
ORDERED = (CAFE, INK, NEON)
"""As a tree shows them: characters, styles/old, styles."""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ALL),
        ("   ", ALL),
        ("neon", (NEON,)),
        ("GLOW neon", (NEON,)),
        ("neon ink", ()),
        ("lights", (NEON,)),
        ("fuchs", (INK,)),
        ("FÜR", (INK,)),
        ("caf\u00e9", (CAFE,)),
        ('"cafe girl"', ()),
        ('"caf\u00e9 girl"', (CAFE,)),
        ("styles", (NEON, INK)),
        ("styles -ink", (NEON,)),
        ("-styles", (CAFE,)),
        ("rain", (NEON,)),
        ('"city glow"', ()),
        ("rain -glow", ()),
        ("tag:rain", (NEON,)),
        ('tag:"night city"', (NEON,)),
        ("-tag:rain", (INK, CAFE)),
        ("base:sdxl", (NEON,)),
        ("base:pony", (NEON,)),
        ("-base:pony", (INK, CAFE)),
        ("base:sd1.5", (INK,)),
        ('base:"SD 1.5"', (INK,)),
        ("base:unknown", (CAFE,)),
        ("BASE:SDXL glow", (NEON,)),
        ("folder:old", (INK,)),
        ("folder:neon", ()),
        ("folder:styles -folder:old", (NEON,)),
        ("-", ALL),
        ("tag:", ALL),
        ('"', ALL),
        ('tag:"night', (NEON,)),
        ("neon.glow", ()),
        ("other:thing", ()),
    ],
)
def test_queries(text: str, found: tuple[LibraryEntry, ...]) -> None:
    in_order = [entry for entry in ORDERED if entry in found]
    assert SearchIndex.of(ALL).filter(text) == in_order
    assert filter_entries(ALL, text) == in_order


def test_parse() -> None:
    assert Query.parse('a -b tag:"c d" -folder:E') == Query(
        (
            Term("text", "a"),
            Term("text", "b", exclude=True),
            Term("tag", "c d"),
            Term("folder", "e", exclude=True),
        )
    )


@given(st.text(st.sampled_from('ab -":tag.base>=') | st.characters(), max_size=20))
def test_any_query_is_understood_and_excluding_is_the_opposite(text: str) -> None:
    found = filter_entries(ALL, text)
    assert all(e in ALL for e in found)
    if len(Query.parse(text).terms) == 1 and not text.strip().startswith("-"):
        opposite = filter_entries(ALL, f"-{text.strip()}")
        assert [e for e in ORDERED if e not in opposite] == found


def test_natural_order() -> None:
    names = ["v10", "V2", "v1", "a100b", "a20b", "a020a", "7", "x" + "9" * 5000]
    ordered = sorted(names, key=natural_key)
    assert ordered == ["7", "a020a", "a20b", "a100b", "v1", "V2", "v10", "x" + "9" * 5000]


def test_sort_orders() -> None:
    a = entry("v10", size=5, mtime_ns=1)
    b = entry("v2", size=5, mtime_ns=3)
    c = entry("sub/v1", size=9, mtime_ns=2)
    assert sort_entries([a, b, c]) == [c, b, a]
    assert sort_entries([a, b, c], reverse=True) == [a, b, c]
    assert sort_entries([a, b, c], "date") == [b, c, a]
    assert sort_entries([a, b, c], "size") == [c, b, a]
    assert sort_entries([a, b, c], "date", reverse=True) == [a, c, b]


@pytest.mark.parametrize(("order", "names"), [("name", "abc"), ("date", "cab"), ("size", "bca")])
def test_an_index_is_reordered_as_entries_are_sorted(order: SortOrder, names: str) -> None:
    entries = [
        entry("b", size=3, mtime_ns=1), entry("c", size=2, mtime_ns=3), entry("a", mtime_ns=2)
    ]  # fmt: skip
    index = SearchIndex.of(entries)

    def found(query: str, *, reverse: bool = False) -> str:
        entries = index.find(query, order=order, reverse=reverse).entries
        return "".join(entry.name for entry in entries)

    assert found("") == names
    assert found("", reverse=True) == names[::-1]
    assert found("-b") == names.replace("b", "")
    assert [e.name for e in sort_entries(entries, order)] == list(names)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("ink", ["ink"]),
        ("INK wash", ["ink"]),
        ("in", ["ink", "inks"]),
        ("nk", ["ink", "inks", "pink", "think"]),
        ("-pink", []),
        ("tag:ink", []),
        ("styles", []),
        ("zzz", []),
        ("rank:>", []),
        ("used:x ink", ["ink"]),
    ],
)
def test_the_best_names_have_the_word_as_they_are_or_begin_with_it(query, names) -> None:
    """A folder's name, a title or a tag is no name."""
    files = [entry("a/pink"), entry("a/think"), entry("b/inks"), entry("b/ink")]
    files.append(entry("styles/warm", tags=(("ink", 2),), title="ink"))
    index = SearchIndex.of(files)
    best = index.best_named(query, range(len(index)))
    assert sorted(index.entry(number).name for number in best) == names
