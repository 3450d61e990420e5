"""`loraswitch sweep`: every combination of LoRAs, strengths, seeds and more, as one grid."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from textwrap import fill

from engine.errors import EngineError
from engine.library.names import LibraryNames
from engine.library.search import filter_entries
from engine.protocol.request import GenerateRequest
from engine.protocol.text import plural
from engine.sweep.cells import Cell, cells_of
from engine.sweep.plan import SweepPlan, read_plan
from engine.sweep.sweep import Sweep
from engine.sweep.values import AXES, READERS
from tui_loraswitch.commands.cell_drawing import report
from tui_loraswitch.commands.cell_options import add_cell_options, draw_anywhere
from tui_loraswitch.commands.hosts import settings_at, usable_host
from tui_loraswitch.commands.lora_names import Library
from tui_loraswitch.commands.options import (
    settings_from,
)
from tui_loraswitch.commands.outcome import UsageError, say
from tui_loraswitch.commands.plan_words import LibraryWords
from tui_loraswitch.commands.scan import scan_library
from tui_loraswitch.config.config import expanded
from tui_loraswitch.config.settings import AppSettings

DESCRIPTION = f"""\
Draw one picture for every combination of the values in a plan, a TOML file,
and show them in one grid with labels. They are drawn in the order with the
fewest switches of LoRAs. Stopped by whatever, the same command goes on; no cell
is drawn twice, and when all are there it ends at once.

Above [axes] stands what is the same in every cell, below it lists of what
differs. The first axis runs to the right, the second down, the third by blocks,
others by pages.

{fill(f"A plan may say {', '.join(READERS)}; axes are {', '.join(AXES)}.", 79)}

lora names LoRAs as --lora of generate does; a list in the list is a stack, ""
is the base. filter has search words in its place: every LoRA of the library
that they find. loras are beneath all cells. Strengths and blocks are those of
lora. The first text of the axis prompt is replaced in the prompt by each.

The folder gets cells/, grid.png and cells.jsonl with a line for each cell.
"""

EXAMPLES = """\
a plan:
  prompt = "a large red star on a blue background"
  steps = 8
  [axes]
  lora = ["neon_glow", "ink_outline", "pixel_blocks", "stripes"]
  strength = [0.4, 0.8, 1.2]
  seed = [1, 2]

examples:
  loraswitch sweep plan.toml
  loraswitch sweep plan.toml --out star --json | jq .switches
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("plan", metavar="PLAN", type=expanded, help="a TOML file")
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        type=expanded,
        help="where cells, grid and record go; default: a folder of the plan's name in --output",
    )
    add_cell_options(parser)


def run(args: argparse.Namespace) -> int:
    """Draw what is missing of a plan."""
    settings = settings_from(args)
    try:
        plan = read_plan(args.plan)
    except EngineError as error:
        raise UsageError(str(error)) from error
    host = None if args.ray else usable_host(settings)
    if host is not None:
        settings = settings_at(host, settings)
    try:
        plan, cells = _cells(plan, settings)
    except EngineError as error:
        raise UsageError(f"{args.plan}: {error}") from error
    out = args.out or settings.output / (re.sub(r"\.toml$", "", args.plan.name) or "sweep")
    sweep = Sweep.of_plan(Path(out).absolute(), plan, cells)
    return report(draw_anywhere(sweep, settings, host, args), args)


def _cells(plan: SweepPlan, settings: AppSettings) -> tuple[SweepPlan, list[Cell]]:
    if plan.filter is not None:
        plan = plan.with_loras(_found(plan.filter, settings))
    words = LibraryWords(settings, Library(settings.loras, settings.index_path))
    base = GenerateRequest(
        "", settings.output, seed=0, width=0, height=0, schedule="Automatic", preview_every=0
    )
    return plan, cells_of(plan, base, words)


def _found(words: str, settings: AppSettings) -> list[str]:
    """The names of the LoRAs that search words find; what cannot be used is said and left out."""
    entries = scan_library(settings.loras, settings.index_path)
    names = LibraryNames.of(entries)
    found = filter_entries(entries, words)
    usable = [entry for entry in found if entry.fits_sdxl]
    if len(usable) < len(found):
        count = plural(len(found) - len(usable), "LoRA")
        say(f"{count} of those that “{words}” finds cannot be used with SDXL, and are left out.")
    return [names.written(entry.path) for entry in usable]
