"""The library for commands: scanned to its end, with problems on stderr."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from engine.library.entry import LibraryEntry
from engine.library.index import LibraryIndex
from engine.library.scan import ScanProgress, scan_folders
from engine.library.search import sort_entries
from tui_loraswitch.commands.outcome import say
from tui_loraswitch.commands.progress import ProgressLine


def scan_library(
    folders: Sequence[Path], index_path: Path, on_problem: Callable[[str], object] = say
) -> list[LibraryEntry]:
    """All LoRAs of the folders, by name; `on_problem` gets a sentence for each thing amiss."""
    problems: list[str] = []
    with ProgressLine() as line, LibraryIndex(index_path) as index:

        def on_progress(progress: ScanProgress) -> None:
            problems.extend(progress.problems)
            line.show(f"Reading headers  {progress.done}/{progress.total}")

        entries = scan_folders(folders, index, on_progress)
    for problem in problems:
        on_problem(problem)
    return sort_entries(entries)
