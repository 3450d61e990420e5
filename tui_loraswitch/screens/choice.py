"""One of some names, opened by typing a part of it."""

from __future__ import annotations

from textual import events
from textual.widgets import Select
from textual.widgets._select import SelectOverlay


class Choice(Select[str]):
    """A letter opens the list, and goes to the first name that has what is typed."""

    def on_key(self, event: events.Key) -> None:
        """Open for a letter, which the list then gets."""
        if not self.expanded and event.is_printable and event.character != " ":
            event.stop()
            self.expanded = True
            typed = events.Key(event.key, event.character)
            # After the focus, which would have what was typed forgotten.
            self.app.call_later(self.query_one(SelectOverlay).post_message, typed)
