"""`loraswitch doctor`: what is there, what is missing, and what to do about it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict

from tui_loraswitch.commands.options import settings_from
from tui_loraswitch.commands.outcome import FAILED, OK
from tui_loraswitch.commands.places import config_path, index_path, log_path, state_path
from tui_loraswitch.config.config import ConfigError
from tui_loraswitch.control.finding import Finding

DESCRIPTION = """\
Look at what loraswitch needs and has: the GPU and its driver, PyTorch, how the
terminal shows pictures and colours, tmux, folders, disks; and say what to do
about each. Nothing is changed. The exit code is 1 where something will not work.
"""

EXAMPLES = """\
examples:
  loraswitch doctor
  loraswitch doctor --json | jq '.[] | select(.grade != "good")'
"""

_SIGNS = {"good": "✓", "hint": "·", "bad": "!"}
_COLOURS = {"good": "\x1b[32m", "hint": "\x1b[33m", "bad": "\x1b[31m"}
_WIDTH = 11


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="print a JSON list of what was found")


def run(args: argparse.Namespace) -> int:
    """Look at everything, and print it as it is found."""
    has_colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    found: list[Finding] = []
    for finding in _examine(args):
        found.append(finding)
        if not args.json:
            print(_line(finding, has_colours=has_colours), flush=True)
    if args.json:
        print(json.dumps([asdict(finding) for finding in found], indent=2, ensure_ascii=False))
    return FAILED if any(finding.grade == "bad" for finding in found) else OK


def _examine(args: argparse.Namespace) -> Iterator[Finding]:
    from tui_loraswitch.control.doctor_files import examine_files
    from tui_loraswitch.control.doctor_machine import examine_machine
    from tui_loraswitch.control.doctor_terminal import examine_terminal
    from tui_loraswitch.images import tmux
    from tui_loraswitch.images.terminal import detect_image_protocol

    yield from examine_machine()
    try:
        settings = settings_from(args)
    except ConfigError as error:
        yield Finding("config", "bad", str(error))
        settings = None
    image_setting = settings.image_protocol if settings is not None else "auto"
    yield from examine_terminal(detect_image_protocol(image_setting), tmux.around())
    if settings is not None:
        yield Finding("config", "good", str(config_path()))
        kept = (config_path(), index_path(), log_path(), state_path())
        yield from examine_files(settings, kept)
    yield from _hosts()


def _hosts() -> Iterator[Finding]:
    from engine.client.remote import host_status
    from engine.host.runtime import HostError, living_hosts

    for place in living_hosts():
        try:
            model = host_status(place)["model_name"] or "no model"
        except HostError as error:
            advice = "loraswitch stop ends it."
            yield Finding("host", "bad", f"{place.name} does not answer: {error}", advice)
        else:
            yield Finding("host", "good", f"{place.name} runs with {model}")


def _line(finding: Finding, *, has_colours: bool) -> str:
    sign = _SIGNS[finding.grade]
    if has_colours:
        sign = f"{_COLOURS[finding.grade]}{sign}\x1b[0m"
    line = f"{sign} {finding.subject:<{_WIDTH}} {finding.words}"
    indent = " " * (_WIDTH + 3)
    advice = textwrap.wrap(
        finding.advice,
        max(40, shutil.get_terminal_size().columns),
        initial_indent=f"{indent}→ ",
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join((line, *advice))
