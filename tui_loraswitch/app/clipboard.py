"""Copying: to the terminal's clipboard, and in tmux also to tmux's own."""

from __future__ import annotations

import os

from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.images import tmux
from tui_loraswitch.panes.background import in_background


class Clipboard(AppBase):
    """As tmux is set from the start, it keeps from the terminal what programs copy (OSC 52)."""

    def copy_to_clipboard(self, text: str) -> None:
        """Copy, by the terminal and by tmux."""
        super().copy_to_clipboard(text)
        if os.environ.get("TMUX"):
            self.run_worker(in_background(tmux.copy, text), name="copy", group="clipboard")


def copied_words() -> str:
    """Where a copy is now."""
    if os.environ.get("TMUX"):
        return "copied, also for tmux (prefix ])"
    return "copied, where the terminal lets programs do that (OSC 52)"
