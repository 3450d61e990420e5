"""A library of 10,000 and of 100,000 LoRA files: scans beside a bare reading, and the real app."""

from __future__ import annotations

import json
import os
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.library_app import figures_of_app, index_of
from benchmarks.many_loras import write_full_headers, write_many_loras
from engine.library.index import LibraryIndex
from engine.library.scan import refresh

COUNTS = (10_000, 100_000)
FULL = 3_000
"""Files with the headers of real ones: a gigabyte of headers."""
RUNS = 3


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds of each, the files being in the page cache; the bare reading in the same run."""
    if quick:
        return {"40 files of all modules": of_full_headers(40)}
    return {
        f"{FULL:,} files of all modules": of_full_headers(FULL),
        **{f"{count:,} files of one module": of_count(count) for count in COUNTS},
    }


def of_full_headers(count: int) -> dict[str, Any]:
    """Scans of files whose headers are those of LoRAs of all modules."""
    with tempfile.TemporaryDirectory() as name:
        loras = Path(name, "loras")
        write_full_headers(loras, count)
        return scans(loras, Path(name, "library.sqlite"), 1)


def of_count(count: int) -> dict[str, Any]:
    """Scans of the smallest files there are, and the app with them."""
    with tempfile.TemporaryDirectory() as name:
        home, loras = Path(name, "home"), Path(name, "loras")
        write_many_loras(loras, count)
        found = scans(loras, index_of(home), RUNS if count <= COUNTS[0] else 1)
        return found | figures_of_app(home, loras, count)


def scans(loras: Path, index: Path, runs: int) -> dict[str, Any]:
    """Of some runs the quickest of each."""
    bare = min(seconds_of(lambda: read_bare(loras)) for _ in range(runs))
    first = min(first_scan(loras, index) for _ in range(runs))
    with LibraryIndex(index) as opened:
        later = min(seconds_of(lambda: refresh([loras], opened)) for _ in range(runs))
        # As the app does after each scan.
        opened.pack([loras])
    return {
        "listing_and_parsing_headers_and_sidecars_s": round(bare, 3),
        "first_scan_s": round(first, 3),
        "first_scan_to_bare_reading": round(first / bare, 2),
        "later_scan_s": round(later, 3),
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


def first_scan(folder: Path, index_path: Path) -> float:
    """Seconds of a scan that knows nothing, until all rows are in the list."""
    for ending in ("", "-wal", "-shm"):
        Path(f"{index_path}{ending}").unlink(missing_ok=True)
    start = time.perf_counter()
    with LibraryIndex(index_path) as index:
        refresh([folder], index)
        return time.perf_counter() - start
