"""A library of 10,000 and of 100,000 LoRA files: scans, starts, keys of the filter, memory."""

from __future__ import annotations

import gc
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.many_loras import write_full_headers, write_many_loras
from benchmarks.terminal import started
from engine.library.index import LibraryIndex
from engine.library.scan import refresh
from engine.library.search import SearchIndex
from tui_loraswitch.panes.library_view import LibraryView

COUNTS = (10_000, 100_000)
TYPED = ("word 42 another", "-zqxjv", "lora_0001", "tag:style base:sdxl")
RUNS = 3
_LOADED = """
import sys, psutil
from pathlib import Path
from engine.library.index import LibraryIndex
from engine.library.search import SearchIndex
from tui_loraswitch.panes.library_view import LibraryView

def memory():
    return psutil.Process().memory_full_info().uss

before = memory()
index = LibraryIndex(Path(sys.argv[1]))
view = LibraryView()
view.load(SearchIndex(*index.rows([Path(sys.argv[2])]), index.entry))
view.filter("word 4")
print((memory() - before) / 2**20)
"""


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds of each, the files being in the page cache; the bare reading in the same run."""
    counts = (200,) if quick else COUNTS
    return {
        "full headers": of_full_headers(20 if quick else 1_000),
        **{f"{count:,} files": of_count(count) for count in counts},
    }


def of_full_headers(count: int) -> dict[str, Any]:
    """A first scan of files whose headers are those of LoRAs of all modules."""
    with tempfile.TemporaryDirectory() as name:
        loras, index = Path(name, "loras"), Path(name, "library.sqlite")
        write_full_headers(loras, count)
        bare = min(seconds_of(lambda: read_bare(loras)) for _ in range(2))
        first = min(seconds_of(lambda: first_scan(loras, index)) for _ in range(2))
    return {
        "listing_and_parsing_headers_and_sidecars_s": round(bare, 3),
        "first_scan_s": round(first, 3),
        "first_scan_to_bare_reading": round(first / bare, 2),
    }


def of_count(count: int) -> dict[str, Any]:
    """The figures of one library; of what is short, the quickest of some runs."""
    with tempfile.TemporaryDirectory() as name:
        home, loras = Path(name, "home"), Path(name, "loras")
        write_many_loras(loras, count)
        index = home / "loraswitch" / "library.sqlite"
        runs = RUNS if count <= COUNTS[0] else 1
        bare = min(seconds_of(lambda: read_bare(loras)) for _ in range(runs))
        first = min(seconds_of(lambda: first_scan(loras, index)) for _ in range(runs))
        later = min(seconds_of(lambda: scan(loras, index)) for _ in range(runs))
        listed = min(seconds_of(lambda: known_list(loras, index)) for _ in range(RUNS))
        keys = filter_keys(known_list(loras, index))
        frame, on_screen = seconds_to_list(home, loras, count)
        memory = memory_of_list(loras, index)
    ordered = sorted(keys)
    return {
        "listing_and_parsing_headers_and_sidecars_s": round(bare, 3),
        "first_scan_s": round(first, 3),
        "first_scan_to_bare_reading": round(first / bare, 2),
        "later_scan_s": round(later, 3),
        "list_from_the_index_s": round(listed, 3),
        "later_start_to_first_frame_s": round(frame, 3),
        "later_start_to_list_on_screen_s": round(on_screen, 3),
        "memory_of_the_list_mib": round(memory, 1),
        "filter_key_median_ms": round(1000 * statistics.median(ordered), 2),
        "filter_key_percentile_99_ms": round(1000 * ordered[int(0.99 * (len(ordered) - 1))], 2),
    }


def seconds_of(action: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def read_bare(folder: Path) -> None:
    """List the folders, open and parse each header and each sidecar; make nothing of them."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)  # noqa: PTH118 - as bare as it can be
            if name.endswith(".safetensors"):
                with open(path, "rb") as file:  # noqa: PTH123
                    (length,) = struct.unpack("<Q", file.read(8))
                    json.loads(file.read(length))
            elif name.endswith(".civitai.info"):
                with open(path, "rb") as file:  # noqa: PTH123
                    json.loads(file.read())


def first_scan(folder: Path, index_path: Path) -> None:
    """A scan that knows nothing."""
    for ending in ("", "-wal", "-shm"):
        Path(f"{index_path}{ending}").unlink(missing_ok=True)
    scan(folder, index_path)


def scan(folder: Path, index_path: Path) -> None:
    """Bring the index up to date."""
    with LibraryIndex(index_path) as index:
        refresh([folder], index)


def known_list(folder: Path, index_path: Path) -> SearchIndex:
    """The list of what is known, as at each later start."""
    index = LibraryIndex(index_path)
    return SearchIndex(*index.rows([folder]), index.entry)


def filter_keys(index: SearchIndex) -> list[float]:
    """Seconds for each key of some queries: the search, and the rows of the list."""
    view = LibraryView()
    view.load(index)
    # As the app does with what a scan has made.
    gc.freeze()
    return [
        seconds_of(partial(view.filter, query[:end]))
        for query in TYPED
        for end in range(1, len(query) + 1)
    ]


def memory_of_list(folder: Path, index_path: Path) -> float:
    """MiB by which a process grows when it has the list."""
    command = [sys.executable, "-c", _LOADED, str(index_path), str(folder)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def seconds_to_list(home: Path, loras: Path, count: int) -> tuple[float, float]:
    """From starting the program to its first frame, and to the number of LoRAs in the title."""
    start = time.perf_counter()
    with started(home, "--demo", "--loras", str(loras), "--images", "off") as terminal:
        terminal.seconds_until("LoRAs")
        frame = time.perf_counter() - start
        # Its last digit aside: the demo's own few come to them.
        terminal.seconds_until(f"LoRAs {count:,}"[:-1])
        return frame, time.perf_counter() - start
