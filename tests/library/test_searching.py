"""Every search finds what a slow look at each file finds, in the same order, however it goes on."""

from __future__ import annotations

import re
import unicodedata
from itertools import cycle
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.library import searching, terms
from engine.library.entry import LibraryEntry, TriggerWords
from engine.library.list_row import file_id
from engine.library.orders import ORDERS, SortOrder
from engine.library.own import Own
from engine.library.search import SearchIndex
from engine.library.searching import Wish

ROOT = Path("/loras")
WORDS = st.text("aB1é ", max_size=4)
FIELDS = ("", "", "", "tag:", "base:", "type:", "folder:")
QUERIES = st.lists(
    st.tuples(st.sampled_from(("", "-")), st.sampled_from(FIELDS), st.text("aB1ésdx", min_size=1))
)


@st.composite
def libraries(draw: st.DrawFn) -> list[LibraryEntry]:
    names = draw(st.lists(st.text("ab1/", min_size=1, max_size=5), max_size=12))
    paths = dict.fromkeys(re.sub("/+", "/", name).strip("/") for name in names)
    return [
        LibraryEntry(
            ROOT / f"{path}.safetensors", ROOT, draw(st.integers(0, 3)), draw(st.integers(0, 3)), 0,
            title=draw(WORDS), notes=draw(WORDS), family=draw(st.sampled_from(("LoRA", "LoHa"))),
            rank=draw(st.sampled_from((None, 4, 8))), added_ns=draw(st.integers(0, 2)),
            base_model=draw(st.sampled_from(("", "SDXL", "SD 1.5"))),
            tags=tuple((word, 0) for word in draw(st.lists(WORDS, max_size=2))),
            trigger_words=(TriggerWords("x", tuple(draw(st.lists(WORDS, max_size=2)))),),
            favourite=draw(st.booleans()),
        )
        for path in paths if path
    ]  # fmt: skip


def fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def meets(entry: LibraryEntry, field: str, word: str) -> bool:
    tags = [tag for tag, _ in entry.tags]
    words = [word for group in entry.trigger_words for word in group.words]
    base = "unknown" if not entry.base_model else entry.base_model.replace(" ", "")
    said = {
        "": [f"{entry.folder}/{entry.name}".lstrip("/"), entry.title, *words, *tags, entry.notes],
        "tag:": tags,
        "base:": [base],
        "type:": [entry.family],
        "folder:": [entry.folder],
    }
    return any(fold(word) in fold(text) for text in said[field])


def natural(text: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"[0-9]+|[^0-9]+", fold(text))
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def by_name(entry: LibraryEntry) -> tuple[object, ...]:
    return natural(entry.name), in_tree(entry), file_id(ROOT, entry.path)


def in_tree(entry: LibraryEntry) -> tuple[object, ...]:
    folders = entry.folder.split("/") if entry.folder else []
    place = [*((0, natural(name)) for name in folders), (1, [])]
    return place, natural(entry.name), file_id(ROOT, entry.path)


SLOW_KEYS = {
    "name": by_name,
    "added": lambda entry: (-entry.added_ns, by_name(entry)),
    "date": lambda entry: (-entry.mtime_ns, by_name(entry)),
    "size": lambda entry: (-entry.size, by_name(entry)),
    "rank": lambda entry: (-(entry.rank or 0), by_name(entry)),
    "base": lambda entry: (fold(entry.base_model or "unknown").replace(" ", ""), by_name(entry)),
    "uses": by_name,
    "last use": by_name,
    "folders": in_tree,
}


@settings(max_examples=40)
@given(libraries(), st.lists(QUERIES, max_size=3), st.sampled_from(ORDERS), *[st.booleans()] * 3)
def test_all_is_found_in_order(
    entries: list[LibraryEntry],
    queries: list[list[tuple[str, str, str]]],
    order: SortOrder,
    reverse: bool,
    show_hidden: bool,
    favourites_first: bool,
) -> None:
    index = SearchIndex.of(entries)
    now_and_then = cycle((False, True))
    wish = Wish(order, reverse, show_hidden, favourites_first)
    with patch.object(searching, "PIECE", 2), patch.object(terms, "_BLOCK", 2):
        # One after the other, as they are typed: each may go on from what the one before found.
        for query in queries:
            kept = [
                entry
                for entry in entries
                if all(meets(entry, field, word) is not bool(minus) for minus, field, word in query)
            ]
            shown = [e for e in kept if show_hidden or e.base_model != "SD 1.5"]
            if order != "random":
                shown.sort(key=SLOW_KEYS[order], reverse=reverse)
            if favourites_first:
                shown.sort(key=lambda entry: not entry.favourite)
            search = index.search(" ".join(map("".join, query)), wish)
            parts = []
            while not search.go_on(now_and_then.__next__):
                parts.append(search.found())
            found = search.found()
            assert (found.is_complete, found.hidden) == (True, len(kept) - len(shown))
            if order == "random":
                assert sorted(map(id, found.entries)) == sorted(map(id, shown))
            else:
                assert found.entries == shown
            for part in parts:
                assert list(part.numbers) == list(found.numbers[: len(part.numbers)])
                assert not part.is_complete


def test_own_words_count() -> None:
    a, b = (LibraryEntry(ROOT / f"{name}.safetensors", ROOT, 1, 1, 1) for name in "ab")
    own = {file_id(ROOT, b.path): Own(favourite=True, uses=3, tags=("Rain",))}
    index = SearchIndex.of([a, b], own)
    for query in ("fav:yes", "used:3", "tag:rain", "rain -missing:yes"):
        assert [entry.path for entry in index.find(query).entries] == [b.path]
    assert index.find("", order="uses").entries[0].path == b.path
