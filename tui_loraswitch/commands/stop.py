"""`loraswitch stop`: end a host."""

from __future__ import annotations

import argparse

from tui_loraswitch.commands.hosts import place_for
from tui_loraswitch.commands.options import add_device_option
from tui_loraswitch.commands.outcome import NO_HOST, OK, say

DESCRIPTION = """\
End the host and give the GPU back. What is being drawn is stopped; stack, queue
and prompt are kept for the next host. Without --device the only host is meant.
"""

EXAMPLES = """\
examples:
  loraswitch stop
  loraswitch stop --device cuda:1
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_device_option(parser)


def run(args: argparse.Namespace) -> int:
    """Have it end, and wait until it has."""
    from engine.client.remote import stop_host

    place = place_for(getattr(args, "device", None))
    if not place.is_alive():
        say("No host runs.")
        return NO_HOST
    status = stop_host(place)
    left = len(status.get("queue", ()))
    kept = f"; {left} in the queue are kept for the next one" if left else ""
    say(f"The host {place.name} has ended{kept}.")
    return OK
