"""A library of 10,000 LoRA files: the first scan, a later start, and a keystroke of the filter."""

from __future__ import annotations

import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.many_loras import write_many_loras
from benchmarks.terminal import started
from engine.files.header import read_header
from engine.library.entry import LibraryEntry
from engine.library.index import LibraryIndex
from engine.library.scan import scan_folders
from engine.library.search import SearchIndex
from tui_loraswitch.panes.library_view import LibraryView

COUNT = 10_000
TYPED = "word 42 another"


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds of each, the files being in the page cache; the bare reading in the same run."""
    count = 200 if quick else COUNT
    with tempfile.TemporaryDirectory() as name:
        home, loras = Path(name, "home"), Path(name, "loras")
        write_many_loras(loras, count)
        bare = seconds_of(lambda: read_bare(loras))
        index = home / "loraswitch" / "library.sqlite"
        first = seconds_of(lambda: scan(loras, index))
        later = seconds_of(lambda: scan(loras, index))
        keys = filter_keys(scan(loras, index))
        on_screen = seconds_to_list(home, loras, count)
    return {
        "files": count,
        "listing_and_reading_headers_s": round(bare, 3),
        "first_scan_s": round(first, 3),
        "first_scan_to_bare_reading": round(first / bare, 2),
        "later_scan_s": round(later, 3),
        "later_start_to_list_on_screen_s": round(on_screen, 3),
        "filter_key_median_ms": round(1000 * statistics.median(keys), 2),
        "filter_key_slowest_ms": round(1000 * max(keys), 2),
    }


def seconds_of(action: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def read_bare(folder: Path) -> None:
    """List the folders and check every header, with nothing made of them."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            path.stat()
            read_header(path)


def scan(folder: Path, index_path: Path) -> list[LibraryEntry]:
    """What the app does at its start: load what is known, then compare with the disk."""
    with LibraryIndex(index_path) as index:
        index.load([folder])
        return scan_folders([folder], index)


def filter_keys(entries: list[LibraryEntry]) -> list[float]:
    """Seconds for each key of a query: the search, and the rows of the list."""
    view = LibraryView()
    view.load(SearchIndex.of(entries))
    # As the app does with what a scan has made.
    gc.freeze()
    typed = (TYPED[:end] for end in range(1, len(TYPED)))
    return [seconds_of(partial(view.filter, query)) for query in typed]


def seconds_to_list(home: Path, loras: Path, count: int) -> float:
    """From starting the program to the number of LoRAs in the library's title."""
    start = time.perf_counter()
    with started(home, "--demo", "--loras", str(loras), "--images", "off") as terminal:
        # Its last digit aside: the demo's own few come to them.
        terminal.seconds_until(f"LoRAs {count:,}"[:-1])
        return time.perf_counter() - start
