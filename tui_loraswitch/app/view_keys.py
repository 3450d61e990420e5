"""Keys that change what is seen."""

from __future__ import annotations

from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.dialogs import choose_theme, show_help
from tui_loraswitch.app.interrupt import ask_what_to_end
from tui_loraswitch.app.redraw import redraw


class ViewKeys(AppBase):
    """The library's filter, the panes and their room, the help."""

    def action_find(self) -> None:
        """Write into the library's filter."""
        self.main.find()

    def action_list(self) -> None:
        """Go back to the list."""
        self.main.show_list()

    def action_zoom(self) -> None:
        """Give the focused pane the whole screen, or show all again."""
        self.main.zoom()

    def action_widen(self, cells: int) -> None:
        """Make the column of the list wider or narrower."""
        self.main.room.widen(cells)

    def action_heighten(self, lines: int) -> None:
        """Make the focused pane higher or lower."""
        self.main.room.heighten(self.main.focused_pane, lines)

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

    def action_redraw(self) -> None:
        """Draw the whole screen again, whatever others have written over it."""
        redraw(self)

    def action_help_quit(self) -> None:
        """Ask what to end: Ctrl+C ends nothing by itself."""
        ask_what_to_end(self)

    def action_change_theme(self) -> None:
        """Choose other colours."""
        choose_theme(self)
