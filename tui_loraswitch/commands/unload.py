"""`loraswitch unload`: give the memory of a host's model back."""

from __future__ import annotations

import argparse

from engine.protocol.text import file_size
from tui_loraswitch.commands.hosts import running_host
from tui_loraswitch.commands.options import add_device_option
from tui_loraswitch.commands.outcome import NO_HOST, OK
from tui_loraswitch.commands.progress import ProgressLine

DESCRIPTION = """\
Have the host drop its model, so that others can use the GPU. A picture that is
being drawn is finished first. Stack, queue and prompt are kept; the next
"loraswitch generate" or "switch", or the app, loads the model again, and then
the queue goes on. "loraswitch stop" ends the host itself.
"""

EXAMPLES = """\
examples:
  loraswitch unload
  loraswitch unload --device cuda:1
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_device_option(parser)


def run(args: argparse.Namespace) -> int:
    """Have it drop the model, and wait until it has."""
    place = running_host(args)
    if place is None:
        return NO_HOST

    from tui_loraswitch.commands.engine_run import open_engine

    with ProgressLine() as progress, open_engine(progress.follow, place) as engine:
        held = engine.engine.view.memory.model
        engine.unload()
    print(f"The model's {file_size(held)} are given back; stack and queue are kept.")
    return OK
