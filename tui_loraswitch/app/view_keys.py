"""Keys that change what is seen."""

from __future__ import annotations

from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.dialogs import show_help
from tui_loraswitch.panes.library import FilterInput


class ViewKeys(AppBase):
    """The library's filter, the panes, the help."""

    def action_find(self) -> None:
        """Write into the library's filter."""
        self.main.query_one(FilterInput).focus()

    def action_rescan(self) -> None:
        """Read the library's folders again."""
        if not self.services.rescan():
            self.toast("The library is being read.", "warning")

    def action_pane(self, name: str) -> None:
        """Show one of the panes on the right."""
        self.main.show_pane(name)

    def action_turn_pane(self, count: int) -> None:
        """Show the next or previous pane on the right."""
        self.main.turn_pane(count)

    def action_help(self) -> None:
        """Show the keys."""
        show_help(self)
