"""Pasted text told from keys where the terminal puts no brackets around it.

Bracketed paste is missing in some terminals, and tmux pastes without it unless told otherwise: the
lines come as if they were typed, and would be run as keys.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable

START, END = "\x1b[200~", "\x1b[201~"
"""The brackets: https://invisible-island.net/xterm/ctlseqs/ctlseqs.html, Bracketed Paste Mode."""

LEAST_LINES = 5
"""Visible characters of lines that nobody types in the time between two reads of the terminal."""
LEAST_LINE = 16
"""The same of a single line, which must look like words: keys that are held repeat."""
_LEAST_DIFFERENT = 6
GOES_ON_SECONDS = 0.2
"""After a piece of a paste, what follows within this time is the next piece."""

_SEQUENCE = re.compile(
    r"(\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|O.|[^\[O])?)", re.DOTALL
)
_UNFINISHED = re.compile(r"\x1b\[[0-?]*[ -/]*\Z")
_WITHIN = re.compile(r"[^\r\n][\r\n]+[^\r\n]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class PasteBrackets:
    """Puts the brackets around pasted text that came without.

    Fed with what the terminal sends, in pieces as long as came at once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._is_bracketed = False
        """Within brackets of the terminal's own."""
        self._pasted_at = -math.inf
        self._held = ""
        """The beginning of a sequence whose rest has not come yet."""

    def feed(self, text: str) -> str:
        """The text, with brackets around what was pasted."""
        text = self._held + text
        unfinished = _UNFINISHED.search(text)
        self._held = unfinished[0] if unfinished else ""
        whole = text[: len(text) - len(self._held)]
        fed = "".join(map(self._piece, _SEQUENCE.split(whole)))
        if self._is_bracketed and fed.endswith("\x1b"):
            # In a paste it is no key; it may begin the closing bracket.
            self._held = "\x1b" + self._held
            return fed[:-1]
        return fed

    def may_go_on(self, text: str) -> bool:
        """Whether more of what ends `text` may come at once: a single key is complete."""
        return not self._is_bracketed and len(_SEQUENCE.split(text)[-1]) > 1

    def _piece(self, piece: str) -> str:
        if piece in (START, END):
            self._is_bracketed = piece == START
        if not piece or piece.startswith("\x1b") or self._is_bracketed:
            return piece
        goes_on = self._clock() - self._pasted_at < GOES_ON_SECONDS
        if not (goes_on or _is_pasted(piece)):
            return piece
        if len(piece) > 1:  # else a key that is held would be a paste without an end
            self._pasted_at = self._clock()
        lines = _CONTROL.sub("", piece.replace("\r\n", "\n").replace("\r", "\n"))
        return f"{START}{lines}{END}"


def _is_pasted(text: str) -> bool:
    """Whether a text that came at once is more than anybody types in that time."""
    visible = sum(map(str.isprintable, text)) - text.count(" ")
    if _WITHIN.search(text):
        return visible >= LEAST_LINES
    return visible >= LEAST_LINE and " " in text and len(set(text)) >= _LEAST_DIFFERENT
