"""`loraswitch switch`: make a stack live on the host that runs."""

from __future__ import annotations

import argparse
import json
from typing import Any

from engine.protocol.events import Switched
from engine.protocol.text import duration, plural, stack_words
from tui_loraswitch.commands.hosts import running_host, settings_at
from tui_loraswitch.commands.lora_names import Library, parse_wanted
from tui_loraswitch.commands.options import add_device_option, add_library_option, settings_from
from tui_loraswitch.commands.outcome import NO_HOST, OK, UsageError, say
from tui_loraswitch.commands.picture_json import member_as_json
from tui_loraswitch.commands.progress import ProgressLine

DESCRIPTION = """\
Have the host ("loraswitch serve") switch to a stack of LoRAs, or to the base,
and show what is live then and how long it took. Screens on the host show it at
once; pictures that are asked for there are drawn with it. A picture that is
being drawn is finished first; a model that was unloaded is loaded again.

LoRAs are named as on "loraswitch generate --lora".
"""

EXAMPLES = """\
examples:
  loraswitch switch neon:0.8 styles/ink:0.4:0
  loraswitch switch neon:0.8:lbw=OUTS --json
  loraswitch switch --base
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "lora",
        metavar="NAME[:UNET[:TE]][:lbw=BLOCKS]",
        type=parse_wanted,
        nargs="*",
        help="a LoRA with its strength (1 when left out), or with one for the UNet and one for "
        "the text encoders",
    )
    parser.add_argument("--base", action="store_true", help="the base model, without a LoRA")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object: stack, milliseconds, warnings"
    )
    add_library_option(parser)
    add_device_option(parser)


def run(args: argparse.Namespace) -> int:
    """Have the host switch, and show what it did."""
    if bool(args.lora) == args.base:
        raise UsageError("Name LoRAs to switch to, or --base for the base model.")
    settings = settings_from(args)
    place = running_host(args)
    if place is None:
        return NO_HOST
    settings = settings_at(place, settings)
    stack = Library(settings.loras, settings.index_path).resolve(args.lora, settings.block_weights)

    from tui_loraswitch.commands.engine_run import open_engine

    with ProgressLine() as progress, open_engine(progress.follow, place) as engine:
        engine.require_model(settings)
        switched = engine.switch(stack)
    for warning in switched.warnings:
        say(warning)
    report = switched.report
    if args.json:
        print(json.dumps(_as_json(switched), indent=2))
    else:
        tensors = plural(report.merged + report.restored, "tensor")
        took = duration(report.total_milliseconds / 1000)
        print(f"{stack_words(report.stack)} is live: {tensors} written in {took}")
    return OK


def _as_json(switched: Switched) -> dict[str, Any]:
    report = switched.report
    return {
        "stack": list(map(member_as_json, report.stack)),
        "merged": report.merged,
        "restored": report.restored,
        "kept": report.kept,
        "milliseconds": round(report.total_milliseconds, 3),
        "warnings": list(switched.warnings),
    }
