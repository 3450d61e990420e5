"""`loraswitch scan`: bring the library's index up to date."""

from __future__ import annotations

import argparse
import json
import time

from engine.protocol.text import plural
from tui_loraswitch.commands.options import add_library_option, given_options, settings_from
from tui_loraswitch.commands.outcome import OK, say
from tui_loraswitch.commands.scan import scan_library

DESCRIPTION = """\
Look through the folders of the library (--loras, else those of the last time,
else the demo's) and read the headers of the files that are new or changed. The
app does the same at its start and follows the folders while it runs.
"""

EXAMPLES = """\
examples:
  loraswitch scan
  loraswitch scan --loras ~/loras --json
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_library_option(parser)


def run(args: argparse.Namespace) -> int:
    """Scan, and say what there is."""
    settings = settings_from(args)
    folders = given_options(args).get("loras") or settings.loras
    start = time.monotonic()
    problems: list[str] = []
    entries = scan_library(folders, settings.index_path, problems.append)
    unusable = [entry for entry in entries if entry.error]
    others = sum(not entry.error and not entry.fits_sdxl for entry in entries)
    if args.json:
        found = {
            "files": len(entries),
            "unusable": len(unusable),
            "other_models": others,
            "seconds": round(time.monotonic() - start, 3),
            "problems": problems,
        }
        print(json.dumps(found, indent=2))
        return OK
    for problem in problems:
        say(problem)
    print(f"{plural(len(entries), 'LoRA')} in {time.monotonic() - start:.1f} s")
    if others:
        print(f"{others} for other models than SDXL")
    for entry in unusable:
        print(f"! {entry.error}")
    return OK
