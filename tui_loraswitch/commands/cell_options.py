"""What sweeps and tours are given: the files, and one engine or a Ray cluster to draw with."""

from __future__ import annotations

import argparse

from engine.host.runtime import HostPlace
from engine.sweep.sweep import Sweep
from tui_loraswitch.commands.cell_drawing import Outcome, draw_sweep
from tui_loraswitch.commands.hosts import add_own_engine_option
from tui_loraswitch.commands.options import add_drawing_options
from tui_loraswitch.config.settings import AppSettings

AUTO = "auto"


def add_cell_options(parser: argparse.ArgumentParser) -> None:
    """What sweeps and tours have in common: what is printed, which files there are, what draws."""
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.add_argument(
        "--json-lines",
        action="store_true",
        help="print how far it is as JSON, a line for each change; the last is that of --json",
    )
    add_drawing_options(parser)
    add_own_engine_option(parser)
    _add_ray_options(parser)


def _add_ray_options(parser: argparse.ArgumentParser) -> None:
    """Whether and how a cluster draws."""
    group = parser.add_argument_group("cluster")
    group.add_argument(
        "--ray",
        metavar="ADDRESS",
        nargs="?",
        const=AUTO,
        help="draw on a Ray cluster: auto (without an address) is the one this machine belongs "
        "to, or else Ray is started here; local always starts it here; needs loraswitch[ray]",
    )
    group.add_argument(
        "--workers",
        metavar="N",
        type=_count,
        help="how many; default: one for each GPU, else as many as there are cores for",
    )
    group.add_argument(
        "--threads",
        metavar="N",
        type=_count,
        default=1,
        help="CPU threads of each worker, on which the pixels depend a little; default: 1",
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"“{text[:40]}” is no number from 1 to 4096")
    return int(text)


def draw_anywhere(
    sweep: Sweep, settings: AppSettings, host: HostPlace | None, args: argparse.Namespace
) -> Outcome:
    """Draw what is missing where the options say."""
    if args.ray is None:
        return draw_sweep(sweep, settings, host, args.json_lines)
    from tui_loraswitch.commands.cluster_drawing import draw_on_cluster

    return draw_on_cluster(sweep, settings, args)
