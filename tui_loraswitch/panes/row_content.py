"""One row of the library as styled text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from textual.content import Content

from engine.library.entry import LibraryEntry
from engine.protocol.refs import summed
from engine.protocol.text import strength
from engine.protocol.view import Refusal
from engine.words.clean import clean_line
from tui_loraswitch.control.stack_view import StackView
from tui_loraswitch.look.theme import FAINT, MUTED
from tui_loraswitch.panes.rows import FolderRow, LoraRow, Row

INDENT = 2


def row_content(row: Row, width: int, stack: StackView, refused: Mapping[Path, Refusal]) -> Content:
    """The row, exactly `width` cells wide."""
    if isinstance(row, FolderRow):
        return _folder(row, width)
    return _lora(row, width, stack, refused)


def _folder(row: FolderRow, width: int) -> Content:
    sign = "▾" if row.is_open else "▸"
    return Content.assemble(
        (" " * (INDENT * row.depth) + f"{sign} ", MUTED),
        (clean_line(row.name, 200), "$secondary-lighten-2"),
        (f" {row.count:,}", FAINT),
    ).truncate(width, ellipsis=True, pad=True)


def _lora(row: LoraRow, width: int, stack: StackView, refused: Mapping[Path, Refusal]) -> Content:
    entry = row.entry
    sign, style, note = _mark(entry, stack, refused)
    name = clean_line(entry.name, 200)
    folder = f"  {clean_line(row.folder, 200)}" if row.folder else ""
    left = Content.assemble(
        (" " * (INDENT * row.depth) + f"{sign} ", style),
        (name, style if sign in "●◌!" else ""),
        (folder, FAINT),
    )
    if note is not None:
        right = Content.styled(note, style)
        room = max(len(note), width - left.cell_length - 2) if sign == "!" else len(note)
        right = right.truncate(min(room, width // 2), ellipsis=True)
    else:
        right = Content()
    facts = Content.styled(_facts(entry, width), FAINT) if sign != "!" else Content()
    tail = Content.assemble(right, facts)
    space = width - tail.cell_length - (1 if tail.cell_length else 0)
    return Content.assemble(
        left.truncate(max(4, space), ellipsis=True, pad=True),
        " " if tail.cell_length else "",
        tail,
    ).truncate(width, pad=True)


def _mark(
    entry: LibraryEntry, stack: StackView, refused: Mapping[Path, Refusal]
) -> tuple[str, str, str | None]:
    """Sign, style and note of a LoRA: what it is doing, by letter and by colour."""
    wanted = [ref for ref in stack.wanted if Path(ref.path) == entry.path]
    live = [ref for ref in stack.live if Path(ref.path) == entry.path]
    if wanted:
        # It may be in the stack and in the prompt as well: it counts as strongly as both together.
        note = " + ".join(map(strength, summed(wanted)))
        return ("●", "$text-success", note) if wanted == live else ("◌", "$text-warning", note)
    if live:
        return "◌", "$text-warning", "leaving"
    if entry.error:
        return "!", "$text-error", short_reason(entry.error, entry.path.name)
    if not entry.fits_sdxl:
        return "!", FAINT, f"for {clean_line(entry.base_model, 40)}"
    refusal = refused.get(entry.path)
    if refusal is not None and refusal.is_of(entry.mtime_ns):
        return "!", "$text-error", "refused"
    return "○", FAINT, None


def short_reason(error: str, file_name: str) -> str:
    """The part of an error sentence that names the trouble, without the file's name."""
    text = clean_line(error).removeprefix(clean_line(file_name)).lstrip(": ")
    for stop in (", ", "; ", " (", ". "):
        text = text.split(stop, 1)[0]
    return text.rstrip(".")


def _family(entry: LibraryEntry) -> str:
    """The adapter's family without what it is combined with."""
    return clean_line(entry.family, 40).partition(" ")[0]


def _facts(entry: LibraryEntry, width: int) -> str:
    rank = f"r{entry.rank}" if entry.rank else ""
    if width < 36:
        # People know them by four letters: Pony, Illu, Noob.
        return f"{entry.base_variant[:4]}{rank:>6}"
    return f"{entry.base_variant}{rank:>6} {_family(entry):<5}"
