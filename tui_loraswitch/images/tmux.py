"""What tmux says of itself and of the terminal around it."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress

from msgspec import Struct

from tui_loraswitch.images.kitty import has_placeholders

_SEPARATOR = "\x1f"
_FIELDS = ("version", "client_termtype", "client_termname", "allow-passthrough",
           "client_termfeatures", "client_utf8")  # fmt: skip
_QUESTION = _SEPARATOR.join(f"#{{{field}}}" for field in _FIELDS)
_PATIENCE = 2.0
"""Seconds; its answer takes hundredths."""


class Tmux(Struct, frozen=True):
    """The tmux around this program."""

    version: str
    """Such as `3.4`."""
    terminal: str
    """What the terminal around it calls itself, else the name of its description."""
    passes_through: bool
    """Whether `allow-passthrough` is on."""
    shows_sixel: bool = False
    """Whether the terminal around it draws Sixel; tmux itself may claim it without."""
    has_utf8: bool = True
    """Else it draws `_` for all that is not ASCII, placeholders as well."""

    @property
    def is_new_enough(self) -> bool:
        """Whether it knows `allow-passthrough` (3.3 and later)."""
        numbers = re.findall(r"\d+", self.version)
        return "master" in self.version or tuple(map(int, numbers[:2])) >= (3, 3)

    @property
    def around_has_placeholders(self) -> bool:
        """Whether the terminal around it knows Kitty's placeholders."""
        return has_placeholders(self.terminal)

    @property
    def carries_kitty(self) -> bool:
        """Whether pictures by Kitty's protocol come through."""
        is_open = self.is_new_enough and self.passes_through and self.has_utf8
        return is_open and self.around_has_placeholders


def copy(text: str) -> None:
    """Give a text to tmux, which has the terminal around it copy it too (3.2 and later)."""
    for options in (("-w",), ()):
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                ["tmux", "load-buffer", *options, "-"], input=text.encode("utf-8", "replace"),
                capture_output=True, timeout=_PATIENCE, check=True,
            )  # fmt: skip
            return


def around() -> Tmux | None:
    """The tmux that this program runs in; None without one, or where it does not answer."""
    if not os.environ.get("TMUX"):
        return None
    pane = ("-t", os.environ["TMUX_PANE"]) if os.environ.get("TMUX_PANE") else ()
    try:
        answer = subprocess.run(
            ["tmux", "display-message", "-p", *pane, _QUESTION],
            capture_output=True, text=True, timeout=_PATIENCE, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return read_answer(answer)


def read_answer(answer: str) -> Tmux | None:
    """What tmux answered to the question; None for anything else."""
    words = answer.rstrip("\n").split(_SEPARATOR)
    if len(words) != len(_FIELDS):
        return None
    version, kind, name, passthrough, features, utf8 = words
    # Versions before 3.3 do not know the option and answer nothing.
    passes = passthrough in ("on", "all", "1", "2")
    return Tmux(version, kind or name, passes, "sixel" in features.split(","), utf8 != "0")
