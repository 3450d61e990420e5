"""The names of the panes that share the right half of a folded screen, as tabs."""

from __future__ import annotations

from textual.content import Content

from tui_loraswitch.look.layout import RIGHT_PANES
from tui_loraswitch.look.theme import MUTED

_SHORT = {"details": "Info", "gauges": "Memory"}
"""Where the pane's own name is long, or not what is in it."""


def tab_line(shown: str, width: int) -> Content:
    """Numbers and names; where they do not fit, memory is left out, then names."""
    least_needed = RIGHT_PANES[-1]
    names = list(RIGHT_PANES)
    unnamed: set[str] = set()
    for name in ("", least_needed, *reversed(RIGHT_PANES[:-1])):
        if name == least_needed != shown:
            names.remove(name)
        unnamed |= {name} - {shown}
        line = Content(" ").join(_tab(name, shown, name in unnamed) for name in names)
        if line.cell_length <= width:
            break
    return line


def _tab(name: str, shown: str, is_unnamed: bool) -> Content:
    number = RIGHT_PANES.index(name) + 1
    words = str(number) if is_unnamed else f"{number} {_SHORT.get(name, name.capitalize())}"
    style = "$accent bold" if name == shown else f"not bold {MUTED}"
    return Content.from_markup(f"[@click=app.pane({name!r})][{style}]{words}[/][/]")
