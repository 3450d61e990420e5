"""The library pane: filter, list, counts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import Reactive
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from engine.library.entry import LibraryEntry
from engine.library.orders import ORDER_WORDS
from engine.library.own import Own
from engine.library.search import SearchIndex
from engine.protocol.view import EngineView, Refusal
from tui_loraswitch.control.stack_view import StackView
from tui_loraswitch.panes.background import in_background
from tui_loraswitch.panes.base import Pane
from tui_loraswitch.panes.library_view import LibraryView
from tui_loraswitch.panes.lora_list import LoraList
from tui_loraswitch.panes.messages import EntryHighlighted

PAUSE = 0.3
"""Seconds without a key after which names near to what was typed are looked for."""

WRITE_SECONDS = 0.002
"""Left to the thread that writes to the terminal, between two parts of a long search."""


class FilterInput(Input):
    """The filter line; arrows move the list while it is typed in."""

    DEFAULT_CSS = """
    FilterInput, FilterInput:focus {
        border: none; height: 1; padding: 0; background: $background;
    }
    FilterInput:focus { background: $surface; }
    """
    virtual_size = Reactive(Size(0, 0))
    """The room that the words take; Textual's own lays the whole screen out at every letter."""
    changed_at = 0.0
    """When the last letter came."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "leave", "to the list", id="filter.leave",
                tooltip="Keep the filter and go to the list", priority=True),
        Binding("escape", "clear", "clear", id="filter.clear",
                tooltip="Show all LoRAs again"),
        Binding("down", "move(1)", "down", show=False, id="filter.down",
                tooltip="Next row of the list"),
        Binding("up", "move(-1)", "up", show=False, id="filter.up",
                tooltip="Previous row of the list"),
    ]  # fmt: skip

    class Left(Message):
        """The filter is as wanted; the list takes over."""

    def watch_value(self) -> None:
        """Note when the words change."""
        self.changed_at = time.monotonic()

    def action_leave(self) -> None:
        """Go to the list."""
        self.post_message(self.Left())

    def action_clear(self) -> None:
        """Empty the filter and go to the list."""
        self.value = ""
        self.action_leave()

    def action_move(self, rows: int) -> None:
        """Move the list's cursor."""
        self.screen.query_one(LoraList).action_move(rows)


class LibraryPane(Pane):
    """The LoRA library."""

    TITLE = "LoRAs"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "sort", show=False, id="library.sort",
                tooltip="Next order: folders, name, added, date, size, rank, base, uses, last use"),
        Binding("tilde", "reverse", "reverse order", show=False, id="library.reverse",
                key_display="~",
                tooltip="Turn the order round"),
        Binding("F", "favourites_first", "favourites first", show=False,
                id="library.favourites-first", tooltip="Favourites above all others, or not"),
        Binding("H", "toggle_hidden", "hidden", show=False, id="library.hidden",
                tooltip="Show or hide LoRAs made for other models"),
        Binding("escape", "clear_filter", "clear filter", show=False, id="library.clear-filter",
                tooltip="Show all LoRAs again"),
    ]  # fmt: skip

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.view = LibraryView()
        self.letters = FilterInput(placeholder="/ to find", id="filter", compact=True)
        self.letters.cursor_blink = False
        self._refused: dict[Path, Refusal] = {}
        self._stack = StackView()
        self.is_complete = False
        """True when the scan is through."""
        self._is_filtering = False
        self._is_finding = False
        self.filtered_at = 0.0
        """When the list was last filtered by the letters as they were."""
        self._pause: Timer | None = None

    def compose(self) -> ComposeResult:
        """The filter above the list."""
        yield self.letters
        yield LoraList(id="lora-list")

    def on_mount(self) -> None:
        """Say what is going on until the scan is through."""
        self.show_progress(0, 0)

    def focus_target(self) -> Widget:
        """The list."""
        return self.query_one(LoraList)

    @property
    def highlighted(self) -> LibraryEntry | None:
        """The LoRA under the cursor."""
        return self.query_one(LoraList).highlighted

    @property
    def cursor(self) -> int:
        """The row under the cursor, counted from 0."""
        return self.query_one(LoraList).cursor

    def lora_beside(self, step: int) -> LibraryEntry | None:
        """The LoRA in the row that is `step` further, where there is one."""
        return self.query_one(LoraList).lora_beside(step)

    def move_to(self, row: int) -> None:
        """Put the cursor on a row, counted from 0."""
        self.query_one(LoraList).move_to(row)

    @property
    def marked_or_highlighted(self) -> list[LibraryEntry]:
        """The marked LoRAs, else the one under the cursor."""
        return self.query_one(LoraList).marked_or_highlighted

    def toggle_mark(self) -> None:
        """Mark the LoRA under the cursor, or take its mark away, and go on to the next."""
        self.query_one(LoraList).toggle_mark()
        self._show_counts()

    def clear_marks(self) -> None:
        """Take all marks away."""
        self.query_one(LoraList).clear_marks()
        self._show_counts()

    @property
    def highlighted_own(self) -> Own:
        """The user's own words about the LoRA under the cursor."""
        return self.query_one(LoraList).highlighted_own

    def restore(self, sort: str, show_hidden: bool) -> None:
        """Show the list as it was the last time."""
        self.view.restore(sort, show_hidden)
        if self.view.total:
            self._show()

    def show_progress(self, done: int, total: int) -> None:
        """Tell how far the scan is."""
        if self.view.total:
            return
        self._note(f"reading {done:,} of {total:,} files …" if total else "looking for LoRAs …")

    def show_index(self, index: SearchIndex, is_complete: bool) -> None:
        """Show what is known of the library; more may come until it is complete."""
        self.is_complete = is_complete
        self.view.load(index)
        self._show()

    def show_view(self, view: EngineView) -> None:
        """Mark what is live, what is wanted, and what did not fit the loaded model."""
        stack, refused = StackView.of(view), {one.path: one for one in view.refused}
        if (stack, refused) != (self._stack, self._refused):
            self._stack, self._refused = stack, refused
            self._show_marks()

    @on(Input.Changed, "#filter")
    def filter_soon(self) -> None:
        """Filter once for all letters that wait; they are painted with what they find."""
        if not self._is_filtering:
            self._is_filtering = True
            self.call_later(self.filter_now)

    @on(FilterInput.Left)
    def leave_filter(self) -> None:
        """Filter by all that was typed, and give the list the focus."""
        self.filter_now()
        self.query_one(LoraList).focus()

    def filter_now(self) -> None:
        """Filter by what is typed."""
        self._is_filtering, self.filtered_at = False, time.monotonic()
        self.view.filter(self.letters.value.removeprefix("/").strip())
        self._show()
        self.query_one(LoraList).move_to_one_of(self.view.best_named)
        self._look_near_soon()

    def _find_rest(self) -> None:
        """Find more of what was looked for, a moment at a time, and show it when all is found."""
        self._is_finding = False
        if self.view.go_on():
            self._show()
            self._look_near_soon()
        else:
            self._find_rest_soon()

    def _find_rest_soon(self) -> None:
        # What is found is painted and written first, and keys that wait come before.
        if not self._is_finding:
            self._is_finding = True
            self.call_after_refresh(self.set_timer, WRITE_SECONDS, self._find_rest)

    def _look_near_soon(self) -> None:
        view = self.view
        if self._pause is not None:
            self._pause.stop()
        has_none = view.found.is_complete and not view.shown and not view.hidden
        if view.query and has_none and self.is_complete:
            self._pause = self.set_timer(PAUSE, self._look_near)

    @work(exclusive=True, group="near-names")
    async def _look_near(self) -> None:
        """Show names near to what was typed."""
        query, index = self.view.query, self.view.index
        found = await in_background(index.near, query)
        if (query, index) == (self.view.query, self.view.index) and found.numbers:
            self.view.show_near(found)
            self._show()

    @on(LoraList.Folded)
    def fold(self, message: LoraList.Folded) -> None:
        """Open or close a folder."""
        message.stop()
        self.view.fold(message.key, message.is_open)
        self._show()

    @on(LoraList.Highlighted)
    def report_highlight(self, message: LoraList.Highlighted) -> None:
        """Tell the others what the cursor is on."""
        message.stop()
        self.post_message(EntryHighlighted(message.entry))

    def action_sort(self) -> None:
        """Show the list in its next order."""
        self.view.next_sort()
        self._show()

    def action_reverse(self) -> None:
        """Turn the order round."""
        self.view.reverse()
        self._show()

    def action_favourites_first(self) -> None:
        """Put favourites above all others, or back among them."""
        self.view.toggle_favourites_first()
        self._show()

    def action_toggle_hidden(self) -> None:
        """Show or hide LoRAs for other models."""
        self.view.toggle_hidden()
        self._show()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a filter, Escape is the app's."""
        return action != "clear_filter" or bool(self.view.query)

    def action_clear_filter(self) -> None:
        """Show all LoRAs again."""
        self.letters.action_clear()

    def _show_counts(self) -> None:
        """How many are shown, and how many are marked."""
        view, marked = self.view, self.query_one(LoraList).marked
        shown = f"{view.shown:,}{'' if view.found.is_complete else '…'}"
        counts = f"{shown} of {view.total:,}" if view.query else shown
        self.show_title(Content(f"LoRAs {counts}{f' · {marked:,} marked' if marked else ''}"))

    def _show(self) -> None:
        view = self.view
        has_all = view.found.is_complete
        self.query_one(LoraList).show_rows(view.rows, has_all)
        if not has_all:
            self._find_rest_soon()
        self._show_counts()
        facts = [f"{view.hidden:,} hidden: not SDXL (H)"] if view.hidden else []
        facts += [words] if (words := ORDER_WORDS[view.sort][view.is_reversed]) else []
        facts += ["favourites first"] if view.favourites_first else []
        facts += view.found.problems
        facts += [f"nothing matches “{view.query}”: near names"] if view.is_near else []
        if view.rows and not self.is_complete:
            facts.insert(0, "reading …")
        self.show_subtitle(" · ".join(facts))
        if view.rows:
            self._note("")
        elif not (self.is_complete and has_all):
            self._note(f"nothing matches “{view.query}” yet" if view.query else "reading …")
        elif view.query:
            hidden = f" but {view.hidden:,} for other models (H)" if view.hidden else ""
            problems = "".join(f"{problem}; " for problem in view.found.problems)
            self._note(f"{problems}nothing matches “{view.query}”{hidden}; Escape shows all")
        elif view.hidden:
            self._note("none for SDXL; H shows the others")
        else:
            self._note("no LoRAs found; --loras FOLDER names a folder of them")

    def _show_marks(self) -> None:
        self.query_one(LoraList).show_marks(self._stack, self._refused)

    def _note(self, words: str) -> None:
        self.query_one(LoraList).show_note(words)
