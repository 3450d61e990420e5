"""The whole screen drawn again, as after another program wrote over it, or in another terminal."""

from __future__ import annotations

from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.terminal_driver import Terminal
from tui_loraswitch.panes.picture_area import ShowsPictures

_CLEAR = "\x1b[2J"


def redraw(app: AppBase) -> None:
    """Clear the terminal, and draw every cell of it."""
    if isinstance(app._driver, Terminal):
        app._driver.forget_screen()
    if app._driver is not None:
        app._driver.write(_CLEAR)
    app.refresh(layout=True)
    for shown in (app.main.picture, *app.screen_stack):
        if isinstance(shown, ShowsPictures):
            shown.draw_again()
