"""`loraswitch hash`: the hashes by which files are known elsewhere."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.files.hashes import FileHashes
from engine.library.own_words import OwnWords
from engine.library.search import filter_entries
from engine.words.clean import clean_line
from tui_loraswitch.commands.options import add_library_option, given_options, settings_from
from tui_loraswitch.commands.outcome import FAILED, OK, say
from tui_loraswitch.commands.own_words import open_own_words, own_overlay
from tui_loraswitch.commands.progress import ProgressLine
from tui_loraswitch.commands.scan import scan_library
from tui_loraswitch.config.config import expanded

DESCRIPTION = """\
Compute the hashes of LoRA files: AutoV2 (of the whole file), AutoV3 (of the
tensors alone, as in pictures of A1111) and SHA-256. They are kept, so that a
second time costs nothing; an interrupted run goes on where it was.

Without FILE all LoRAs of the library are hashed. FILE may be a path or words
to look for, as in list. In a pipe each file is a line: AutoV2, AutoV3, SHA-256
and path, with a tab between them.
"""

EXAMPLES = """\
examples:
  loraswitch hash neon.safetensors
  loraswitch hash                             all of the library
  loraswitch hash base:pony --json
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", metavar="FILE", nargs="*", help="a path, or words to look for")
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    add_library_option(parser)


def run(args: argparse.Namespace) -> int:
    """Hash and print."""
    settings = settings_from(args)
    words = open_own_words(settings)
    named = [expanded(name) for name in args.files]
    if named and all(path.is_file() for path in named):
        paths = named
    else:
        folders = given_options(args).get("loras") or settings.loras
        entries = scan_library(folders, settings.index_path)
        found = filter_entries(entries, " ".join(args.files), own_overlay(settings, folders))
        paths = [entry.path for entry in found if not entry.error]
    rows = list(hashed(paths, words))
    if args.json:
        print(json.dumps([_as_json(path, hashes) for path, hashes in rows], indent=2))
    else:
        for path, hashes in rows:
            where = clean_line(str(path))
            print(f"{hashes.autov2}\t{hashes.autov3}\t{hashes.sha256}\t{where}")
    return OK if len(rows) == len(paths) else FAILED


def hashed(paths: Sequence[Path], words: OwnWords) -> Iterator[tuple[Path, FileHashes]]:
    """The hashes of files, as they are known or computed; what cannot be read is said."""
    with ProgressLine() as line:
        for number, path in enumerate(paths, 1):
            line.show(f"Hashing  {number}/{len(paths)}  {path.name}")
            hashes = words.hash(path)
            if hashes is None:
                say(f"{path}: cannot be hashed; `loraswitch inspect` says what is wrong with it.")
            else:
                yield path, hashes


def _as_json(path: Path, hashes: FileHashes) -> dict[str, str]:
    return {
        "path": str(path),
        "autov1": hashes.legacy,
        "autov2": hashes.autov2,
        "autov3": hashes.autov3,
        "sha256": hashes.sha256,
        "tensors_sha256": hashes.tensors_sha256,
    }
