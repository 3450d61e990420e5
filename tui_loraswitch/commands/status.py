"""`loraswitch status`: the hosts that run, and what they are at."""

from __future__ import annotations

import argparse
import json
from typing import Any

from engine.protocol.text import gib, plural
from tui_loraswitch.commands.outcome import NO_HOST, OK

DESCRIPTION = """\
Show each host: its model, stack, queue, clients and memory. The exit code is 0
where a host answers, and 3 where none does.
"""

EXAMPLES = """\
examples:
  loraswitch status
  loraswitch status --json | jq '.[0].queue | length'
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="print a JSON list of all hosts")


def run(args: argparse.Namespace) -> int:
    """Ask every host how it is."""
    from engine.client.remote import host_status
    from engine.host.runtime import HostError, living_hosts

    found: list[dict[str, Any]] = []
    for place in living_hosts():
        try:
            found.append(host_status(place))
        except HostError as error:
            found.append({"name": place.name, "problem": str(error)})
    if args.json:
        print(json.dumps(found, indent=2))
    elif not found:
        print("no host runs")
    else:
        print("\n".join(line for host in found for line in _lines(host)))
    return OK if any("problem" not in host for host in found) else NO_HOST


def _lines(host: dict[str, Any]) -> list[str]:
    if "problem" in host:
        return [f"{host['name']}: {host['problem']}"]
    stack = " + ".join(f"{m['name']} {m['unet']:.2f}" for m in host["stack"]) or "base"
    model = host["model_name"] or "no model"
    memory = host["memory"]
    queue = plural(len(host["queue"]), "job") + " in the queue"
    queue += " (paused)" if host["paused"] else ""
    return [
        f"{host['name']}: {model} on {host['device'] or 'no device yet'} · {stack}",
        f"  {host['working'] or 'idle'} · {queue} · "
        f"{plural(host['clients'], 'client')} · model {gib(memory['model'])} GiB, "
        f"backup {gib(memory['backup'])} GiB · process {host['pid']}",
    ]
