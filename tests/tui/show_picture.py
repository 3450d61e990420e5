"""A program with one picture, as the app shows it, under the number of a seed; `q` ends it.

`d` puts a dialog over it, `b` goes back, `s` sends it again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from textual.app import App, ComposeResult
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_loraswitch.app.terminal_driver import own_driver
from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.fit import fit_protocol
from tui_loraswitch.images.full_picture import FullPicture
from tui_loraswitch.images.in_full import new_picture
from tui_loraswitch.images.kitty import PictureNumber
from tui_loraswitch.images.kitty_picture import KittyPicture
from tui_loraswitch.images.terminal import TerminalImages, detect_image_protocol, with_cell_of_now


class Dialog(ModalScreen[None]):
    BINDINGS = [("b", "dismiss", "back")]  # noqa: RUF012

    def compose(self) -> ComposeResult:
        yield Static("a dialog")


class Show(App[None]):
    BINDINGS = [  # noqa: RUF012
        ("q", "quit", "quit"), ("d", "dialog", "dialog"), ("s", "send", "send again"),
    ]  # fmt: skip

    def __init__(self, terminal: TerminalImages) -> None:
        super().__init__()
        self._terminal = terminal

    def get_driver_class(self):
        return own_driver(super().get_driver_class())

    def compose(self) -> ComposeResult:
        yield new_picture(self._terminal, PictureBudget())

    def on_mount(self) -> None:
        picture = fit_protocol(Path(sys.argv[1]), 20, 10, with_cell_of_now(self._terminal))
        shown = self.screen.query_one(FullPicture)
        if isinstance(shown, KittyPicture):
            shown._numbers = [PictureNumber(int(sys.argv[2]))]
        shown.show(shown.pack(picture))

    def action_dialog(self) -> None:
        self.push_screen(Dialog())

    def action_send(self) -> None:
        self.screen.query_one(FullPicture).send_again()


def found_terminal() -> TerminalImages:
    """What the terminal says; Kitty's where it only says its name, as outside of tmux."""
    found = detect_image_protocol("auto")
    return TerminalImages("kitty") if found.protocol == "halfcell" else found


if __name__ == "__main__":
    Show(found_terminal()).run()
