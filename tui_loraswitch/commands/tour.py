"""`loraswitch tour`: every LoRA of the library drawn once, on contact sheets."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.demo import vocabulary
from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from engine.library.names import LibraryNames
from engine.library.search import filter_entries
from engine.protocol.text import plural
from engine.sweep.previews import write_previews
from engine.sweep.sweep import Sweep
from tui_loraswitch.commands.cell_drawing import report
from tui_loraswitch.commands.cell_options import add_cell_options, draw_anywhere
from tui_loraswitch.commands.hosts import settings_at, usable_host
from tui_loraswitch.commands.lora_names import Library
from tui_loraswitch.commands.options import (
    settings_from,
)
from tui_loraswitch.commands.outcome import UsageError, say
from tui_loraswitch.commands.picture_options import Wanted, add_picture_options, wanted_pictures
from tui_loraswitch.commands.plan_words import LibraryWords
from tui_loraswitch.commands.scan import scan_library
from tui_loraswitch.config.config import expanded
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.control.tour import tour_cells

PROMPT = "a cat beside a house, trees, evening light"
"""Things that most LoRAs change in some way."""
DESCRIPTION = """\
Draw every LoRA of the library that WORDS find (as in the app's filter; without
words: all) once, with the same prompt and seed, its own trigger words put in, at
the strength its files recommend. They are shown on contact sheets. While one is
drawn, the next LoRA is read.

Stopped by whatever, the same command goes on; LoRAs that are new since join. The
folder gets cells/, sheet.png (and sheet-2.png, …) and cells.jsonl.
"""

EXAMPLES = """\
examples:
  loraswitch tour
  loraswitch tour folder:styles --prompt "a lighthouse" --steps 20
  loraswitch tour --previews        and write pictures beside the LoRAs
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("words", metavar="WORDS", nargs="*", help="words to look for")
    parser.add_argument("--prompt", metavar="TEXT", help=f"default: “{PROMPT}”")
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        type=expanded,
        help="where pictures, sheets and record go; default: the folder tour in --output",
    )
    parser.add_argument(
        "--previews",
        action="store_true",
        help="write each picture beside its LoRA as NAME.preview.png, where no preview is",
    )
    add_picture_options(parser)
    parser.set_defaults(seed=1)
    add_cell_options(parser)


def run(args: argparse.Namespace) -> int:
    """Draw what is missing."""
    settings = settings_from(args)
    host = None if args.ray else usable_host(settings)
    if host is not None:
        settings = settings_at(host, settings)
    base = _base(args, settings)
    entries = scan_library(settings.loras, settings.index_path)
    names = LibraryNames.of(entries)
    chosen = _usable(filter_entries(entries, " ".join(args.words)), " ".join(args.words))
    words = LibraryWords(settings, Library(settings.loras, settings.index_path))
    try:
        cells = tour_cells(chosen, names, base.request, base.stack, words, say)
    except EngineError as error:
        raise UsageError(str(error)) from error
    out = Path(args.out or settings.output / "tour").absolute()
    sweep = Sweep.of_tour(out, base.request.prompt, cells)
    outcome = draw_anywhere(sweep, settings, host, args)
    if not args.previews:
        return report(outcome, args)
    written = write_previews(outcome.drawn, [entry.path for entry in chosen], say)
    return report(outcome, args, previews=len(written))


def _base(args: argparse.Namespace, settings: AppSettings) -> Wanted:
    if args.seed < 0 or args.batch != 1:
        raise UsageError("A tour has one picture of each LoRA, and one seed that is known.")
    if args.prompt is None:
        args.prompt = PROMPT if settings.model else vocabulary.EXAMPLES[0]
    (wanted,) = wanted_pictures(args, settings, Library(settings.loras, settings.index_path))
    return wanted


def _usable(found: list[LibraryEntry], words: str) -> list[LibraryEntry]:
    usable = [entry for entry in found if entry.fits_sdxl]
    if len(usable) < len(found):
        count = plural(len(found) - len(usable), "LoRA")
        say(f"{count} cannot be used with SDXL, and are left out.")
    if not usable:
        what = f"is found by “{words}”" if words else "is in the library"
        raise UsageError(f"No LoRA {what}; loraswitch list shows what there is.")
    return usable
