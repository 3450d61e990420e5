"""`loraswitch list`: the LoRAs of the library."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.library.entry import LibraryEntry
from engine.library.orders import ORDERS
from engine.library.search import SearchIndex
from engine.protocol.text import file_size, plural
from engine.words.clean import clean_line
from tui_loraswitch.commands.entry_json import entry_as_json
from tui_loraswitch.commands.options import add_library_option, given_options, settings_from
from tui_loraswitch.commands.outcome import OK, say
from tui_loraswitch.commands.own_words import own_overlay
from tui_loraswitch.commands.scan import scan_library
from tui_loraswitch.control.triggers import best_triggers

if TYPE_CHECKING:
    from rich.console import Console

DESCRIPTION = """\
List the LoRAs of the library: the folders of --loras, else those of the last
time, else the demo's. The model is not loaded. On a terminal a table is shown;
in a pipe each LoRA is one line of fields with a tab between them: name, base
model, family, rank, size in bytes, trigger words, error.

FILTER is a query as in the app: all words must occur in path, title, trigger
words, tags or notes; -word excludes, "two words" belong together; tag:, base:,
type: and folder: look there; rank:32, rank:>=32 and rank:8..32 compare, and so
does used: with how often it was used; fav:yes, missing:yes, dup:yes (the same
tensors as another file) and error:yes ask for what is so.
"""

EXAMPLES = """\
examples:
  loraswitch list
  loraswitch list neon base:sdxl
  loraswitch list "neon -old"                 a query with - needs quotes
  loraswitch list "rank:>=64" --sort added    the newest in the library first
  loraswitch list | cut -f1                   names only
  loraswitch list --json | jq '.[] | select(.rank > 64) | .path'
"""

_HEADINGS = ("name", "base", "family", "rank", "size", "trigger words")
_GAP = 2
_MIN_NAME = 12
_MAX_KIND = 14
"""Cells for base model and family: a mixture of families can have a long name."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("filter", metavar="FILTER", nargs="*", help="words to look for")
    parser.add_argument(
        "--sort", choices=ORDERS, default="name", metavar="ORDER", help=f"by {', '.join(ORDERS)}"
    )
    parser.add_argument("--reverse", action="store_true", help="the other way round")
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    add_library_option(parser)
    parser.add_argument(
        "--demo",
        action="store_true",
        default=argparse.SUPPRESS,
        help="list the demo's LoRAs, whatever is remembered",
    )


def run(args: argparse.Namespace) -> int:
    """Scan, filter, print."""
    settings = settings_from(args)
    folders = given_options(args).get("loras") or settings.loras
    entries = scan_library(folders, settings.index_path)
    index = SearchIndex.of(entries, own_overlay(settings, folders))
    found = index.find(" ".join(args.filter), order=args.sort, reverse=args.reverse)
    for problem in found.problems:
        say(problem)
    if not found.numbers and (nearby := index.near(" ".join(args.filter))).numbers:
        names = ", ".join(entry.name for entry in nearby.entries[:5])
        say(f"Nothing matches; names near to it: {names}.")
    entries = found.entries
    if args.json:
        print(json.dumps([entry_as_json(entry) for entry in entries], indent=2))
    elif sys.stdout.isatty():
        from rich.console import Console

        print_table(entries, Console(highlight=False))
        print(plural(len(entries), "LoRA"))
    else:
        for entry in entries:
            print("\t".join(_fields(entry, str(entry.size))))
    return OK


def print_table(entries: Sequence[LibraryEntry], console: Console) -> None:
    """Print aligned columns that fit the console; names and trigger words give way."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    rows: list[tuple[str, ...]] = [_HEADINGS]
    for entry in entries:
        *fields, words, error = _fields(entry, file_size(entry.size))
        rows.append((*fields, f"! {error}" if error else words))
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    widths[1:3] = [min(width, _MAX_KIND) for width in widths[1:3]]
    room = console.width - sum(widths[1:-1]) - _GAP * (len(widths) - 1)
    widths[0] = max(_MIN_NAME, min(widths[0], room * 3 // 5))
    widths[-1] = max(1, min(widths[-1], room - widths[0]))

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), show_header=False)
    for width, heading in zip(widths, _HEADINGS, strict=True):
        right = heading in ("rank", "size")
        table.add_column(
            width=width, no_wrap=True, overflow="ellipsis", justify="right" if right else "left"
        )
    for row in rows:
        # Plain `Text`: what strangers wrote is no markup.
        table.add_row(*map(Text, row), style="bold" if row is _HEADINGS else None)
    console.print(table)


def _fields(entry: LibraryEntry, size: str) -> tuple[str, ...]:
    """Name, base model, family, rank, size, trigger words, error: single clean lines."""
    name = clean_line(entry.path.relative_to(entry.root).with_suffix("").as_posix())
    words = ", ".join(best_triggers(entry))
    rank = "" if entry.rank is None else str(entry.rank)
    # The error begins with the file's name, which stands at the start of the line already.
    error = entry.error.removeprefix(f"{clean_line(entry.path.name)}: ")
    return name, entry.base_label, entry.family, rank, size, words, error
