"""What the palette looks through; the searches are imported when it is first opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import App

if TYPE_CHECKING:
    from textual.command import Provider


def _loras() -> type[Provider]:
    from tui_loraswitch.app.palette_search import LoraSearch

    return LoraSearch


def _models() -> type[Provider]:
    from tui_loraswitch.app.palette_search import ModelSearch

    return ModelSearch


def _settings() -> type[Provider]:
    from tui_loraswitch.app.palette_search import SettingSearch

    return SettingSearch


def _recipes() -> type[Provider]:
    from tui_loraswitch.app.palette_search import RecipeSearch

    return RecipeSearch


SEARCHES = App.COMMANDS | {_loras, _models, _settings, _recipes}
