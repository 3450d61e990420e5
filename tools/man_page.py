"""Write docs/loraswitch.1, the manual page, from the command line's own parsers."""

from __future__ import annotations

import argparse
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

from tools.reference_page import option_rows
from tui_loraswitch.cli import COMMANDS, whole_parser
from tui_loraswitch.commands.outcome import EXIT_CODES
from tui_loraswitch.commands.parser import Parser

PAGE = Path(__file__).parents[1] / "docs" / "loraswitch.1"

_ABOUT = """\
SDXL with a library of LoRAs, in a terminal: LoRAs are switched on the loaded model in place and
exactly, its memory is watched, pictures are drawn and shown. Without a command the app opens; ? in
it shows the keys."""


def page() -> str:
    """The whole page, in man's own macros."""
    own = [row for row in option_rows(whole_parser()) if row[0] != "COMMAND"]
    parts = [
        '.TH LORASWITCH 1 "" "loraswitch" "User Commands"',
        ".SH NAME\nloraswitch \\- SDXL with a library of LoRAs, in a terminal",
        ".SH SYNOPSIS\n.B loraswitch\n[options] [command [options]]",
        f".SH DESCRIPTION\n{_text(_ABOUT)}",
        ".SH OPTIONS",
        *map(_option, own),
        ".SH COMMANDS",
        *(part for name in COMMANDS for part in _command(name)),
        f".SH EXIT STATUS\n.nf\n{_text(EXIT_CODES.partition(chr(10))[2])}\n.fi",
    ]
    return "\n".join(parts) + "\n"


def _command(name: str) -> Iterator[str]:
    module, _ = COMMANDS[name]
    command = importlib.import_module(f"tui_loraswitch.commands.{module}")
    parser: argparse.ArgumentParser = Parser(add_help=False)
    command.add_options(parser)
    yield f".SS loraswitch {name}\n{_text(command.DESCRIPTION)}"
    yield from map(_option, option_rows(parser))
    examples = inspect.cleandoc(command.EXAMPLES.partition("\n")[2])
    yield f".PP\n.nf\n{_text(examples)}\n.fi"


def _option(row: tuple[str, str]) -> str:
    return f".TP\n.B {_text(row[0])}\n{_text(row[1])}"


def _text(words: str) -> str:
    """Plain text for troff: backslashes and hyphens as they are, and no line that is a request."""
    escaped = words.strip().replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line[:1] in ".'" else line for line in escaped.split("\n"))


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
