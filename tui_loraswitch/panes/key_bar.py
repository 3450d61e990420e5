"""The last line: the keys of the focused pane, then those that work everywhere."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.binding import ActiveBinding, Binding
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Input, TextArea

from tui_loraswitch.look.keys import APP_BINDINGS
from tui_loraswitch.panes.base import Line

ALWAYS = ("app.list", "app.help", "app.quit")
"""Bindings that keep their place at the end when the line is short of room."""
GAP = "  "
_ORDER: dict[str | None, int] = {
    binding.id: place for place, binding in enumerate(APP_BINDINGS) if isinstance(binding, Binding)
}


class KeyBar(Line):
    """Keys in one line, cut between entries, never within one; a click presses the key."""

    DEFAULT_CSS = """
    KeyBar { position: absolute; padding: 0 1; background: $background; color: $text-muted; }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._hint: Sequence[tuple[str, str]] = ()
        self._places: list[tuple[int, str]] = []
        """Where each entry ends, and the key it stands for."""

    def on_mount(self) -> None:
        """Follow the focus."""
        self.screen.bindings_updated_signal.subscribe(self, self._follow_focus)

    def on_resize(self) -> None:
        """Show as many as fit."""
        self.show_keys()

    async def on_click(self, event: events.Click) -> None:
        """Press the key that was clicked."""
        for end, key in self._places:
            if event.x - 1 < end:
                await self.app.action_simulate_key(key)
                return

    def _follow_focus(self, screen: Screen[object]) -> None:
        if screen is self.screen:
            self.show_keys()

    def show_hint(self, hint: Sequence[tuple[str, str]]) -> None:
        """Show which keys may come next, and what they do; none: the usual ones again."""
        self._hint = hint
        self.show_keys()

    def show_keys(self) -> None:
        """Show the keys that fit."""
        if self._hint:
            entries = (_entry(key, words) for key, words in self._hint)
            self._places = []
            self.show(Content(GAP).join(entries).truncate(self.content_size.width, ellipsis=True))
            return
        shown: dict[str, Binding] = {}
        for active in self.screen.active_bindings.values():
            if self._is_shown(active):
                shown.setdefault(active.binding.id or active.binding.action, active.binding)
        last = [shown.pop(name) for name in ALWAYS if name in shown]
        # Keys of the user's own come after all others: what they do keeps its place.
        in_order = sorted(shown.values(), key=lambda binding: _ORDER.get(binding.id, -1))
        room = self.content_size.width - sum(self._width(binding) for binding in last)
        chosen: list[Binding] = []
        for binding in in_order:
            room -= self._width(binding)
            if room < -len(GAP):
                break
            chosen.append(binding)
        chosen += last
        self._places, end = [], 0
        for binding in chosen:
            end += self._width(binding)
            self._places.append((end, binding.key))
        self.show(Content(GAP).join(self._entry(binding) for binding in chosen))

    def _is_shown(self, active: ActiveBinding) -> bool:
        """While a text has the focus, the keys that work everywhere are typed into it."""
        is_typed = active.node is self.app and isinstance(self.screen.focused, Input | TextArea)
        leads_elsewhere = active.binding.id == "app.list" and self._is_away
        return (active.binding.show or leads_elsewhere) and active.enabled and not is_typed

    @property
    def _is_away(self) -> bool:
        """Whether the focus is not in the list, to which a key leads back."""
        around = self.screen.focused.ancestors_with_self if self.screen.focused else []
        return all(node.id != "library" for node in around)

    def _width(self, binding: Binding) -> int:
        return self._entry(binding).cell_length + len(GAP)

    def _entry(self, binding: Binding) -> Content:
        return _entry(self.app.get_key_display(binding), binding.description)


def _entry(key: str, words: str) -> Content:
    return Content.assemble((key, "$primary"), " ", words)
