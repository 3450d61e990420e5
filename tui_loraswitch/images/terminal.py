"""Which kind of picture the terminal can show, asked in one round trip.

textual-image asks several times while it is imported and gives each answer 100 ms, which a slow
SSH link misses. Here the questions go out together, followed by one that every terminal answers
(primary device attributes), so that the wait is as long as the link and no longer.
"""

from __future__ import annotations

import os
import re
import select
import sys
import time
from dataclasses import dataclass
from typing import Literal

from tui_loraswitch.config.settings import ImageSetting
from tui_loraswitch.images import tmux
from tui_loraswitch.images.symbol_sets import SymbolSet

Protocol = Literal["kitty", "sixel", "halfcell", "off"]

PATIENCE = 1.0
"""Seconds to wait for a terminal that answers nothing at all."""

_KITTY_QUESTION = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
_CELL_SIZE_QUESTION = "\x1b[16t"
_ATTRIBUTES_QUESTION = "\x1b[c"

_KITTY_ANSWER = re.compile(rb"\x1b_Gi=31;OK")
_CELL_SIZE_ANSWER = re.compile(rb"\x1b\[6;(\d{1,4});(\d{1,4})t")
_ATTRIBUTES_ANSWER = re.compile(rb"\x1b\[\?([\d;]*)c")


@dataclass(frozen=True)
class TerminalImages:
    """How to draw pictures, and the size of a character cell in pixels."""

    protocol: Protocol
    cell_width: int = 10
    cell_height: int = 20
    symbols: SymbolSet | None = None
    """Finer shapes than half a cell, where the font has them."""
    in_tmux: bool = False
    """Kitty's protocol goes through tmux to the terminal around it."""


def detect_image_protocol(setting: ImageSetting) -> TerminalImages:
    """Settle how pictures are drawn; to be called before the app takes over the terminal.

    `auto` asks the terminal; in tmux, where tmux answers for itself, also what is around it. A
    protocol that is named is taken at its word, and the terminal is asked only for the size of its
    cells.
    """
    if setting == "off":
        return TerminalImages("off")
    if setting in ("quadrants", "sextants", "octants"):
        return TerminalImages("halfcell", symbols=setting)
    if setting == "halfcell" or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return TerminalImages("halfcell")
    multiplexer = tmux.around()
    found = parse_answers(_ask(_KITTY_QUESTION + _CELL_SIZE_QUESTION + _ATTRIBUTES_QUESTION))
    if setting == "auto" and multiplexer is not None and multiplexer.carries_kitty:
        setting = "kitty"
    if setting in ("kitty", "sixel"):
        in_tmux = setting == "kitty" and multiplexer is not None
        return TerminalImages(setting, found.cell_width, found.cell_height, in_tmux=in_tmux)
    return found


def parse_answers(answers: bytes) -> TerminalImages:
    """What the terminal's answers say it can do.

    Sixel goes first: WezTerm and Konsole claim kitty's protocol but not its placeholders, on which
    textual-image builds; both draw Sixel.
    """
    protocol: Protocol = "halfcell"
    attributes = _ATTRIBUTES_ANSWER.search(answers)
    if attributes and b"4" in attributes[1].split(b";"):
        protocol = "sixel"
    elif _KITTY_ANSWER.search(answers):
        protocol = "kitty"
    size = _CELL_SIZE_ANSWER.search(answers)
    height, width = (int(size[1]), int(size[2])) if size else (0, 0)
    return TerminalImages(protocol, width, height) if width and height else TerminalImages(protocol)


def _ask(questions: str) -> bytes:
    """Write to the terminal and read until the device attributes are answered."""
    import termios
    import tty

    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    answers = b""
    try:
        tty.setcbreak(stdin)
        sys.stdout.write(questions)
        sys.stdout.flush()
        deadline = time.monotonic() + PATIENCE
        while not _ATTRIBUTES_ANSWER.search(answers):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([stdin], [], [], left)[0]:
                break
            answers += os.read(stdin, 1024)
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
    return answers
