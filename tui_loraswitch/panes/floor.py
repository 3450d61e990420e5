"""What a terminal too small for the panes shows."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from tui_loraswitch.look.layout import MIN_HEIGHT, MIN_WIDTH


class FloorMessage(Static):
    """Asks for a larger window; everything goes on behind it."""

    DEFAULT_CSS = """
    FloorMessage {
        display: none;
        width: 100%; height: 100%;
        content-align: center middle; text-align: center;
        background: $background; color: $text-muted;
    }
    """

    def show_size(self, width: int, height: int) -> None:
        """Say what is there and what is needed."""
        need = f"{MIN_WIDTH}×{MIN_HEIGHT} needed, this is {width}×{height}"
        # It always has the whole screen: to lay that out anew would take 20 ms.
        self.update(Content(f"loraswitch\n{need}"), layout=False)
