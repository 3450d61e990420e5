"""The real app with a library of some size: how soon it is there, its keys, its memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from benchmarks.terminal import Terminal, started
from engine.demo import DEMO_LORAS
from engine.library.index import LibraryIndex
from engine.library.search import SearchIndex

QUERIES = ("word 42 another", "-zqxj tag:style", "lora_0001", "42 1", "trigger 7 group 1", "9 8 7")
ROUNDS = 2
OPTIONS = ("--demo", "--images", "off")


def figures_of_app(home: Path, loras: Path, count: int) -> dict[str, Any]:
    """A later start with these files in the index: seconds, MiB, milliseconds of the keys."""
    start = time.perf_counter()
    with started(home, *OPTIONS, "--loras", str(loras)) as terminal:
        terminal.seconds_until("LoRAs")
        frame = time.perf_counter() - start
        # It may be there with the first frame.
        if not terminal.has_drawn(f"LoRAs {count:,}"):
            terminal.seconds_until(f"LoRAs {count:,}")
        listed = max(frame, time.perf_counter() - start)
        terminal.seconds_until("loaded ")
        known = wait_for_list(home, loras)
        letters, lists, counts = zip(*keys(terminal, known), strict=True)
        memory = memory_of(terminal)
    return {
        "first_frame_s": round(frame, 3),
        "list_after_first_frame_s": round(listed - frame, 3),
        "memory_of_app_mib": round(memory, 1),
        "memory_more_than_without_files_mib": round(memory - memory_without_files(), 1),
        "keys": len(letters),
        **key_figures("letter_painted", letters),
        **key_figures("list_painted", lists),
        **key_figures("all_counted", counts),
    }


def index_of(home: Path) -> Path:
    """Where the app has its index."""
    return home / "loraswitch" / "library.sqlite"


def wait_for_list(home: Path, loras: Path) -> SearchIndex:
    """The list as the app has it, when the demo's own LoRAs are in it."""
    while True:
        with LibraryIndex(index_of(home)) as index:
            folders, rows = index.listed([loras, DEMO_LORAS])
        if any(folder.root == DEMO_LORAS for folder in folders.values()):
            time.sleep(3.0)  # the looking through is not what is measured
            return SearchIndex(folders, rows, lambda id: None)
        time.sleep(0.2)


def keys(terminal: Terminal, known: SearchIndex) -> list[tuple[float, ...]]:
    """Seconds from each key until its letter is painted, the list, and the count of all."""
    terminal.press("/")
    found: list[tuple[float, ...]] = []
    for query in QUERIES * ROUNDS:
        before = f"{len(known):,}"
        for number, (letter, count) in enumerate(counted(query, known), 1):
            terminal.press(letter)
            if count == before:
                # No other title is painted.
                terminal.bytes_within(0.1)
                continue
            before = count
            texts = f"│ {query[:number]}", "LoRAs ", f"LoRAs {count} of {len(known):,}"
            found.append(tuple(terminal.seconds_to_each(*texts)))
            # At all distances from what the last key set going.
            terminal.bytes_within(0.02 + 0.03 * (number % 5))
        terminal.press("\x15")
        terminal.bytes_within(0.4)
    return found


def counted(query: str, known: SearchIndex) -> Iterator[tuple[str, str]]:
    """Each letter, with what the title then says."""
    for end, letter in enumerate(query, 1):
        yield letter, f"{len(known.find(query[:end].strip(), show_hidden=False).numbers):,}"


def memory_of(terminal: Terminal) -> float:
    """MiB of the app alone."""
    return float(psutil.Process(terminal.pid).memory_full_info().uss) / 2**20


@cache
def memory_without_files() -> float:
    """MiB of the app with no library but the demo's."""
    with tempfile.TemporaryDirectory() as name:
        home, none = Path(name, "home"), Path(name, "none")
        none.mkdir()
        with started(home, *OPTIONS, "--loras", str(none)) as terminal:
            terminal.seconds_until("loaded ")
            wait_for_list(home, none)
            return memory_of(terminal)


def key_figures(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    return {
        f"{name}_median_ms": milliseconds(statistics.median(seconds)),
        f"{name}_percentile_99_ms": milliseconds(percentile_99(seconds)),
    }


def milliseconds(seconds: float) -> float:
    """To a tenth."""
    return round(1000 * seconds, 1)


def percentile_99(seconds: Sequence[float]) -> float:
    """The slowest but one of a hundred."""
    return sorted(seconds)[int(0.99 * (len(seconds) - 1))]
