"""What ships as the demo: sizes, formats and sidecars as people really have them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from engine.demo import DEMO_LORAS, DEMO_MODEL
from engine.library.entry import LibraryEntry
from engine.library.index import LibraryIndex
from engine.library.scan import ScanProgress, scan_folders
from tests.demo.conftest import demo_loras


def scan(index: LibraryIndex) -> list[LibraryEntry]:
    seen: list[ScanProgress] = []
    return scan_folders([DEMO_LORAS], index, seen.append, lambda: False)


def test_sizes() -> None:
    assert DEMO_MODEL.stat().st_size <= 32_000_000
    assert len(demo_loras()) >= 10
    assert sum(path.stat().st_size for path in demo_loras()) <= 3_000_000


def test_the_library_shows_every_lora_as_usable(tmp_path: Path) -> None:
    with LibraryIndex(tmp_path / "index.sqlite") as index:
        entries = scan(index)
    assert {entry.error for entry in entries} == {""}
    assert len(entries) == len(demo_loras())
    assert all(entry.fits_sdxl and entry.previews for entry in entries)
    assert len({entry.folder for entry in entries}) >= 3
    families = Counter(word for entry in entries for word in entry.family.split(" + "))
    assert {"LoRA", "LoCon", "LoHa", "LoKr"} <= families.keys()
    assert any("DoRA" in family for family in families)
    sources = {words.source for entry in entries for words in entry.trigger_words}
    assert len(sources) >= 3, sources
