"""A program with one picture, as the app shows it, under the number of a seed; `q` ends it."""

from __future__ import annotations

import sys
from pathlib import Path

from textual.app import App, ComposeResult

from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.fit import fit_protocol
from tui_loraswitch.images.kitty import PictureNumber
from tui_loraswitch.images.kitty_picture import KittyPicture, packed
from tui_loraswitch.images.terminal import TerminalImages, detect_image_protocol


class Show(App[None]):
    BINDINGS = [("q", "quit", "quit")]  # noqa: RUF012

    def __init__(self, terminal: TerminalImages) -> None:
        super().__init__()
        self._terminal = terminal

    def compose(self) -> ComposeResult:
        yield KittyPicture(PictureBudget(), in_tmux=self._terminal.in_tmux)

    def on_mount(self) -> None:
        picture = fit_protocol(Path(sys.argv[1]), 20, 10, self._terminal)
        shown = self.query_one(KittyPicture)
        shown._number = PictureNumber(int(sys.argv[2]))
        shown.show(packed(picture))


found = detect_image_protocol("auto")
if found.protocol != "kitty":
    # A terminal that says it is kitty, but not in tmux, was asked for its protocol by name here.
    found = TerminalImages("kitty")
Show(found).run()
