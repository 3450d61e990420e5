"""What is wrong in the config file: names of keys and themes, and those that say nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from textual.dom import DOMNode

from engine.words.clean import clean_line
from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.keymap import unknown_names
from tui_loraswitch.config.config import misspelt_names


def wrong_choices(app: AppBase, nodes: Iterable[DOMNode]) -> Iterator[str]:
    """Sentences about it; `nodes` are all that have keys."""
    settings = app.control.settings
    # Said on standard error too, where the app's screen covers it.
    yield from misspelt_names(settings.config_path) if settings.config_path else ()
    for name in unknown_names(settings.keys, nodes):
        yield f"the config file's keys name {name}, which is nothing that keys do"
    if settings.theme and settings.theme not in app.available_themes:
        words = f"the config file names the theme {clean_line(settings.theme, 40)}"
        yield f"{words}, which there is not; there are {', '.join(sorted(app.available_themes))}"
