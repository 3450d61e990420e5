"""iTerm2's protocol for pictures, which WezTerm and VS Code know as well.

See https://iterm2.com/documentation-images.html.
"""

from __future__ import annotations

import re
from base64 import standard_b64encode
from collections.abc import Mapping

_NAME = re.compile(rb"\x1bP>\|([\w.]+)")
_NAMES = (b"iTerm2", b"WezTerm", b"mintty")
_PROGRAMS = ("iTerm.app", "WezTerm", "mintty")
MULTIPLEXERS = ("tmux", "screen")
"""How `TERM` begins in them."""


def inline(png: bytes, columns: int, rows: int) -> str:
    """The sequence that draws a picture on so many cells, from the one where the cursor is."""
    keys = f"inline=1;width={columns};height={rows};preserveAspectRatio=0;doNotMoveCursor=1"
    return f"\x1b]1337;File=size={len(png)};{keys}:{standard_b64encode(png).decode()}\x07"


def is_known(answers: bytes, environment: Mapping[str, str], *, draws_sixel: bool) -> bool:
    """Whether the terminal knows the protocol, by what it calls itself, else by its variables.

    `answers` has that to `CSI > q`. xterm.js, which VS Code has, knows both protocols or, turned
    off, none. LC_TERMINAL comes through ssh, but also through what carries no pictures.
    """
    name = _NAME.search(answers)
    if name is not None:
        return name[1] in _NAMES or (name[1] == b"xterm.js" and draws_sixel)
    if environment.get("TERM", "").startswith(MULTIPLEXERS):
        return False
    program = environment.get("TERM_PROGRAM", "")
    is_likely = program == "vscode" or environment.get("LC_TERMINAL") == "iTerm2"
    return program in _PROGRAMS or (is_likely and draws_sixel)
