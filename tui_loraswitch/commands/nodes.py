"""`loraswitch nodes`: what a Ray cluster has to draw with."""

from __future__ import annotations

import argparse
import json
from typing import Any

from engine.cluster.nodes import Node, ask_nodes
from engine.cluster.start import AUTO, cluster
from engine.demo import DEMO_MODEL
from engine.words.clean import clean_line
from tui_loraswitch.commands.options import add_library_option, add_model_options, settings_from
from tui_loraswitch.commands.outcome import OK
from tui_loraswitch.commands.scan import scan_library

DESCRIPTION = """\
Show the nodes of a Ray cluster: cores, GPUs, whether the model there is the one
here (by the hash of its files), how many LoRAs of the library lie there at the
same place, and how many copies it was sent. Without a cluster: this machine.
"""

EXAMPLES = """\
examples:
  loraswitch nodes
  loraswitch nodes --ray 10.0.0.5:6379 --json
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        default=AUTO,
        help="which cluster; auto (the default) is the one that this machine belongs to",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    add_library_option(parser)
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the nodes."""
    settings = settings_from(args)
    loras = [entry.path for entry in scan_library(settings.loras, settings.index_path)]
    with cluster(args.ray) as ray:
        cache = settings.index_path.parent / "loras"
        nodes = ask_nodes(ray, settings.model or DEMO_MODEL, loras, settings.index_path, cache)
    if args.json:
        print(json.dumps([_as_json(node, len(loras)) for node in nodes], indent=2))
    else:
        for node in nodes:
            print(_row(node, len(loras)))
    return OK


def _as_json(node: Node, loras: int) -> dict[str, Any]:
    found = node.found
    return {
        "address": node.address,
        "cpus": node.resources.get("CPU", 0),
        "gpus": node.resources.get("GPU", 0),
        "host": found.host if found else None,
        "version": found.version if found else None,
        "model": found.model if found else None,
        "loras": found.loras if found else None,
        "loras_here": loras,
        "loras_sent": found.kept if found else None,
        "fault": node.fault or None,
    }


def _row(node: Node, loras: int) -> str:
    cpus, gpus = (f"{node.resources.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
    if node.found is None:
        return clean_line(f"{node.address}  {cpus}, {gpus}  no answer: {node.fault}")
    found = node.found
    return clean_line(
        f"{found.host} {node.address}  {cpus}, {gpus}  loraswitch {found.version}  "
        f"model: {found.model}  LoRAs: {found.loras} of {loras} here, {found.kept} sent"
    )
