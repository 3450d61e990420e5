"""A program with the gallery's viewer on two pictures, as the app has it; `q` ends it.

`D` puts a dialog over it, `b` goes back. The viewer's own keys do what they do.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from textual.app import App
from textual.binding import Binding

from engine.store.pictures import PictureRow
from tests.tui.show_picture import Dialog, found_terminal
from tui_loraswitch.app.terminal_driver import own_driver
from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.panes.picture_area import PictureArea
from tui_loraswitch.screens.gallery.viewer import PictureViewer


class Show(App[None]):
    BINDINGS = [Binding("D", "dialog", "dialog", priority=True)]  # noqa: RUF012

    def __init__(self, terminal: TerminalImages) -> None:
        super().__init__()
        self._terminal = terminal

    def get_driver_class(self):
        return own_driver(super().get_driver_class())

    def on_mount(self) -> None:
        one, other = sys.argv[1:]
        rows = [PictureRow(1, one.encode(), 0.0, 8, 8, 0)]
        area = partial(PictureArea, self._terminal, PictureBudget())
        self.push_screen(
            PictureViewer(area, rows, 0, lambda path: None, Path(other)), lambda _: self.exit()
        )

    def action_dialog(self) -> None:
        self.push_screen(Dialog())


if __name__ == "__main__":
    Show(found_terminal()).run()
