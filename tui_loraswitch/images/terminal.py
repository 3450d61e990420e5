"""Which kind of picture the terminal can show, asked in one round trip.

The questions go out together, followed by one that every terminal answers (primary device
attributes), so that the wait is as long as the link and no longer.
"""

from __future__ import annotations

import os
import re
import select
import struct
import sys
import time
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, structs

from tui_loraswitch.config.settings import ImageSetting
from tui_loraswitch.images import iterm2, tmux
from tui_loraswitch.images.kitty import has_placeholders
from tui_loraswitch.images.symbol_sets import SymbolSet
from tui_loraswitch.images.tmux import Tmux

Protocol = Literal["kitty", "sixel", "iterm2", "halfcell", "off"]

PATIENCE = 1.0
"""Seconds to wait for a terminal that answers nothing at all."""

_KITTY_QUESTION = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
_CELL_SIZE_QUESTION = "\x1b[16t"
_NAME_QUESTION = "\x1b[>q"
_ATTRIBUTES_QUESTION = "\x1b[c"
_QUESTIONS = _CELL_SIZE_QUESTION + _NAME_QUESTION + _ATTRIBUTES_QUESTION

_KITTY_ANSWER = re.compile(rb"\x1b_Gi=31;OK")
_CELL_SIZE_ANSWER = re.compile(rb"\x1b\[6;(\d{1,4});(\d{1,4})t")
_NAME_ANSWER = re.compile(rb"\x1bP>\|([^\x1b]*)")
_ATTRIBUTES_ANSWER = re.compile(rb"\x1b\[\?([\d;]*)c")


class TerminalImages(Struct, frozen=True):
    """How to draw pictures, and the size of a character cell in pixels."""

    protocol: Protocol
    cell_width: int = 10
    cell_height: int = 20
    symbols: SymbolSet | None = None
    """Finer shapes than half a cell, where the font has them."""
    in_tmux: bool = False
    """Kitty's protocol goes through tmux to the terminal around it."""
    follows_tmux: bool = False
    """What is around tmux decides, and may be another terminal some day."""


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
    # Multiplexers take it for a title, and show it.
    is_direct = not os.environ.get("TERM", "").startswith(iterm2.MULTIPLEXERS)
    questions = (_KITTY_QUESTION if is_direct else "") + _QUESTIONS
    return settled(setting, _ask(questions), tmux.around(), os.environ)


def settled(
    setting: ImageSetting,
    answers: bytes,
    multiplexer: Tmux | None,
    environment: Mapping[str, str],
) -> TerminalImages:
    """How pictures are drawn where no cells are asked for, by answers, tmux and environment.

    Without colours (`NO_COLOR`) Kitty's placeholders, whose colour is the picture's number, would
    show nothing.
    """
    found = parse_answers(answers, environment)
    if multiplexer is not None and (found.protocol != "sixel" or not multiplexer.shows_sixel):
        found = structs.replace(found, protocol="halfcell")
    if setting in ("kitty", "iterm2", "sixel"):
        found = structs.replace(found, protocol=setting)
    elif multiplexer is not None and multiplexer.carries_kitty:
        found = structs.replace(found, protocol="kitty")
    has_colours = environment.get("NO_COLOR") is None
    if found.protocol == "kitty" and not has_colours:
        found = structs.replace(found, protocol="halfcell")
    return structs.replace(
        found,
        in_tmux=found.protocol == "kitty" and multiplexer is not None,
        follows_tmux=setting == "auto" and multiplexer is not None and has_colours,
    )


def looked_at_again(found: TerminalImages) -> TerminalImages:
    """The same, or what another terminal can do that was attached to tmux meanwhile."""
    around = tmux.around() if found.follows_tmux else None
    if around is None or around.carries_kitty == found.in_tmux:
        return found
    protocol: Protocol = "kitty" if around.carries_kitty else "halfcell"
    return structs.replace(found, protocol=protocol, in_tmux=around.carries_kitty)


def parse_answers(answers: bytes, environment: Mapping[str, str]) -> TerminalImages:
    """What the terminal's answers say it can do.

    iTerm2's protocol goes before Sixel: it has all colours, and fewer bytes. Sixel goes before
    Kitty's: Konsole claims that but not its placeholders, on which pictures are shown here.
    """
    protocol: Protocol = "halfcell"
    attributes = _ATTRIBUTES_ANSWER.search(answers)
    draws_sixel = attributes is not None and b"4" in attributes[1].split(b";")
    if iterm2.is_known(answers, environment, draws_sixel=draws_sixel):
        protocol = "iterm2"
    elif draws_sixel:
        protocol = "sixel"
    elif _KITTY_ANSWER.search(answers) and has_placeholders(_name(answers, environment)):
        protocol = "kitty"
    size = _CELL_SIZE_ANSWER.search(answers)
    height, width = (int(size[1]), int(size[2])) if size else (0, 0)
    return TerminalImages(protocol, width, height) if width and height else TerminalImages(protocol)


def _name(answers: bytes, environment: Mapping[str, str]) -> str:
    """What the terminal calls itself, else the name of its description."""
    named = _NAME_ANSWER.search(answers)
    return named[1].decode("ascii", "replace") if named else environment.get("TERM", "")


def with_cell_of_now(found: TerminalImages) -> TerminalImages:
    """The same with the pixels of a cell as the kernel knows them, also through ssh.

    Another font changes them, and xterm tells nobody else unless it is allowed to.
    """
    import fcntl
    import termios

    if sys.__stdout__ is None:
        return found
    try:
        size = fcntl.ioctl(sys.__stdout__.fileno(), termios.TIOCGWINSZ, bytes(8))
    except (OSError, ValueError):  # no terminal, or closed
        return found
    rows, columns, width, height = struct.unpack("HHHH", size)
    cell = width // max(1, columns), height // max(1, rows)
    return structs.replace(found, cell_width=cell[0], cell_height=cell[1]) if all(cell) else found


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
