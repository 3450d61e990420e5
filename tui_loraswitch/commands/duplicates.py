"""`loraswitch dup`: files of the library with the same tensors."""

from __future__ import annotations

import argparse
import json
from collections import Counter

from engine.files.header import read_header
from engine.library.entry import LibraryEntry
from engine.library.own_words import duplicates
from engine.protocol.text import file_size, plural
from engine.words.clean import clean_line
from tui_loraswitch.commands.hashes import hashed
from tui_loraswitch.commands.options import add_library_option, given_options, settings_from
from tui_loraswitch.commands.outcome import OK
from tui_loraswitch.commands.own_words import open_own_words
from tui_loraswitch.commands.scan import scan_library

DESCRIPTION = """\
Find LoRA files that hold the same tensors, whatever their names and metadata
are. Only files with as many bytes of tensors as another one are hashed, and
the hashes are kept. Nothing is deleted.
"""

EXAMPLES = """\
examples:
  loraswitch dup
  loraswitch dup --json | jq -r '.[][1:][]'   all but the first of each group
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="print a JSON array of groups")
    add_library_option(parser)


def run(args: argparse.Namespace) -> int:
    """Hash what may be the same, and print the groups."""
    settings = settings_from(args)
    folders = given_options(args).get("loras") or settings.loras
    entries = [e for e in scan_library(folders, settings.index_path) if not e.error]
    lengths = {entry.path: _tensor_bytes(entry) for entry in entries}
    counts = Counter(lengths.values())
    alike = [path for path, length in lengths.items() if counts[length] > 1]
    groups = duplicates(dict(hashed(alike, open_own_words(settings))))
    if args.json:
        print(json.dumps([list(map(str, group)) for group in groups], indent=2))
        return OK
    sizes = {entry.path: entry.size for entry in entries}
    for group in groups:
        print("\n".join(clean_line(str(path)) for path in group) + "\n")
    spare = sum(sizes[path] for group in groups for path in group[1:])
    print(f"{plural(len(groups), 'group')} of the same tensors, {file_size(spare)} to spare")
    return OK


def _tensor_bytes(entry: LibraryEntry) -> int:
    header = read_header(entry.path)
    return header.file_size - header.data_start
