"""`loraswitch serve`: own the model, for screens and scripts that come and go."""

from __future__ import annotations

import argparse
import math

from tui_loraswitch.commands.hosts import host_name
from tui_loraswitch.commands.options import add_model_options, settings_from
from tui_loraswitch.commands.outcome import FAILED, OK, end_process, say
from tui_loraswitch.commands.places import host_log_path, host_state_path, store_path
from tui_loraswitch.control.load_command import load_command

DESCRIPTION = """\
Run the host: the process that keeps the model loaded, switches LoRAs, draws
what the queue holds, and serves screens and scripts on a Unix socket. The app
starts one by itself; this command starts one by hand. It opens the model that
is named, or else the one that the last host had, with its stack and queue.

One host per device: each has a name of its own ("--device cuda:1").
"""

EXAMPLES = """\
examples:
  loraswitch serve --detach --model sdxl.safetensors
  loraswitch serve --device cuda:1 --detach
  loraswitch status
  loraswitch stop
"""

IDLE_MINUTES = 60.0

_ONES = (
    *("model", "device", "dtype", "backup", "mode", "compile"),
    *("vae", "vae_dtype", "parts_from", "prediction"),
)
"""Options with a value that a host in the background is given again."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--detach", action="store_true", help="run in the background")
    parser.add_argument(
        "--idle",
        type=_minutes,
        metavar="MINUTES",
        default=argparse.SUPPRESS,
        help="end after so long without a client and without work, so that the GPU is free "
        "again; 0 is never; default: idle_minutes of the config file, else 60",
    )
    parser.add_argument("--for-app", action="store_true", help=argparse.SUPPRESS)
    add_model_options(parser)


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"“{text}” is no number of minutes")
    return value


def run(args: argparse.Namespace) -> int:
    """Be the host, or start one in the background."""
    from engine.host.runtime import place_of

    settings = settings_from(args)
    place = place_of(host_name(settings.device))
    if args.detach:
        from engine.client.spawn import spawn_host
        from engine.host.logout import logout_warning

        if place.is_alive():
            say(f"The host {place.name} runs already.")
            return FAILED
        spawn_host(place, ["serve", *_given_again(args)], host_log_path(place.name))
        say(f"The host {place.name} runs; loraswitch status shows it, loraswitch stop ends it.")
        if (warning := logout_warning()) is not None:
            say(warning)
        return OK

    from engine.host.process import HostOptions, run_host

    is_named = "model" in args or "demo" in args
    options = HostOptions(
        state=host_state_path(place.name),
        idle_minutes=getattr(args, "idle", settings.idle_minutes),
        index=settings.index_path,
        store=store_path(),
        by_hand=not args.for_app,
        load=load_command(settings, settings.model) if is_named else None,
    )
    ended = run_host(place, options)
    if ended is None:
        say(f"The host {place.name} runs already.")
        return OK if args.for_app else FAILED
    if not ended:
        end_process(OK)
    return OK


def _given_again(args: argparse.Namespace) -> list[str]:
    """The options that were given, for the process in the background."""
    words = ["--idle", f"{args.idle:g}"] if "idle" in args else []
    for name in _ONES:
        if name in args:
            words += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
    return [*words, "--demo"] if "demo" in args else words
