"""What the app keeps from one time to the next: prompt, settings, and how the list is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from tui_loraswitch.config.ui_state import RememberedState, UiState
from tui_loraswitch.look.theme import INK

if TYPE_CHECKING:
    from tui_loraswitch.app.app_base import AppBase
    from tui_loraswitch.app.services import Services


class Remembering:
    """Carries the state between the files, the control and the screen.

    The demo's is another than that of real work: the model that is wanted has its own on the
    screen.
    """

    def __init__(self, app: AppBase, services: Services, files: RememberedState) -> None:
        self._app = app
        self._services = services
        self._files = files

    def restore(self) -> None:
        """Show the list, and take the theme, as they were left."""
        app, state = self._app, self._app.control.state
        named = app.control.settings.theme
        names = (name for name in (named, state.theme) if name in app.available_themes)
        app.theme = next(names, INK.name)
        app.main.library.restore(state.sort, state.show_hidden)
        app.main.room.restore(state.splits)

    def keep(self) -> None:
        """Write all that is to be there the next time."""
        self._services.keep(self._files.path, self._state)

    def follow_model(self) -> bool:
        """Put the state of the wanted model in the place of the other; True when it is another."""
        if self._files.is_demo == self._app.control.is_demo:
            return False
        self.keep()
        self._app.control.state = self._files.turn_over(self._state)
        self.restore()
        return True

    @property
    def _state(self) -> UiState:
        app, view = self._app, self._app.main.library.view
        return structs.replace(
            app.control.state,
            sort=view.remembered_sort,
            show_hidden=view.show_hidden,
            theme=app.theme,
            splits=app.main.room.remembered,
        )
