"""One row of the library as styled text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.cells import cell_len
from textual.content import Content

from engine.library.entry import LibraryEntry
from engine.protocol.refs import summed
from engine.protocol.text import strength
from engine.protocol.view import Refusal
from engine.words.clean import clean_line
from tui_loraswitch.control.stack_view import StackView
from tui_loraswitch.look.middle import cut_middle
from tui_loraswitch.look.theme import FAINT, MUTED
from tui_loraswitch.panes.rows import FolderRow, LoraRow, Row

INDENT = 2
LEAST_OF_FOLDER = 8
"""Cells; less of a folder's name tells nothing."""


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
        (f" {row.loras:,}", FAINT),
    ).truncate(width, ellipsis=True, pad=True)


def _lora(row: LoraRow, width: int, stack: StackView, refused: Mapping[Path, Refusal]) -> Content:
    entry = row.entry
    sign, style, note = _mark(entry, stack, refused)
    star = "★ " if row.own.favourite or entry.favourite else ""
    lead = " " * (INDENT * row.depth) + f"{sign} "
    name = clean_line(entry.name, 200)
    right = Content.styled(note, style) if note is not None else Content()
    if note is not None and sign == "!":
        room = width - cell_len(lead + star) - cell_len(name) - 2
        right = right.truncate(min(max(room, len(note)), width // 2), ellipsis=True)
    facts = Content.styled(_facts(entry, width), FAINT) if sign != "!" else Content()
    tail = Content.assemble(" ", right, facts) if right or facts else Content()
    space = max(4, width - tail.cell_length)
    name = cut_middle(name, max(3, space - cell_len(lead + star)))
    left = Content.assemble(
        (lead, style),
        (star, "$warning"),
        (name, style if sign in "●◌!" else ""),
        (_folder_words(row.folder, space - cell_len(lead + star) - cell_len(name)), FAINT),
    )
    return Content.assemble(left.truncate(space, pad=True), tail).truncate(width, pad=True)


def _folder_words(folder: str, room: int) -> str:
    """Where the file lies, as far as there is room for words that say something."""
    if not folder or room < LEAST_OF_FOLDER:
        return ""
    return f"  {cut_middle(clean_line(folder, 200), room - 2)}"


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
