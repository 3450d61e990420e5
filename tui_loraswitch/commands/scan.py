"""The library for commands: scanned to its end, with problems on stderr."""

from __future__ import annotations

from engine.library.entry import LibraryEntry
from engine.library.index import LibraryIndex
from engine.library.scan import ScanProgress, scan_folders
from engine.library.search import sort_entries
from tui_loraswitch.commands.outcome import say
from tui_loraswitch.commands.progress import ProgressLine
from tui_loraswitch.settings import AppSettings


def scan_library(settings: AppSettings) -> list[LibraryEntry]:
    """All LoRAs of the folders, by name."""
    problems: list[str] = []
    with ProgressLine() as line, LibraryIndex(settings.index_path) as index:

        def on_progress(progress: ScanProgress) -> None:
            problems.extend(progress.problems)
            line.show(f"Reading headers  {progress.done}/{progress.total}")

        entries = scan_folders(settings.loras, index, on_progress)
    for problem in problems:
        say(problem)
    return sort_entries(entries)
