"""textual-image's widget for Sixel, imported without letting it question the terminal."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from tui_loraswitch.images.terminal import TerminalImages


def load_sixel_widget(terminal: TerminalImages) -> type[Any]:
    """The widget class for the Sixel protocol; fit for a thread while the app runs.

    textual-image writes questions to `sys.__stdout__` while it is imported, and their answers
    would be typed into the app. It asks nothing when that is no terminal, and then takes the size
    of a cell from the two environment variables.
    """
    os.environ["TEXTUAL_CELL_WIDTH"] = str(terminal.cell_width)
    os.environ["TEXTUAL_CELL_HEIGHT"] = str(terminal.cell_height)
    stdout = sys.__stdout__
    sys.__stdout__ = io.TextIOWrapper(io.BytesIO())  # type: ignore[misc]
    try:
        from textual_image.widget import SixelImage
    finally:
        sys.__stdout__ = stdout  # type: ignore[misc]
    widget: type[Any] = SixelImage
    return widget
