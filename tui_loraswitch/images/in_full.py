"""The widget for a picture in full resolution, by what the terminal can do."""

from __future__ import annotations

from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.full_picture import FullPicture
from tui_loraswitch.images.terminal import TerminalImages


def new_picture(
    terminal: TerminalImages, budget: PictureBudget, *, keeps: int = 1, id: str | None = None
) -> FullPicture:
    """A widget for the protocol of a terminal that has one.

    `keeps` is how many pictures a terminal is to hold that can.
    """
    if terminal.protocol == "kitty":
        from tui_loraswitch.images.kitty_picture import KittyPicture

        return KittyPicture(budget, in_tmux=terminal.in_tmux, keeps=keeps, id=id)
    if terminal.protocol in ("sixel", "iterm2"):
        from tui_loraswitch.images.placed_picture import PlacedPicture

        return PlacedPicture(budget, terminal.protocol, id=id)
    raise ValueError(f"a terminal with {terminal.protocol} shows no picture in full")
