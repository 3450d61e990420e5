"""Which LoRAs the list shows: sorted, filtered, unfolded."""

from __future__ import annotations

import time

from engine.library.entry import LibraryEntry
from engine.library.orders import ORDERS, SortOrder
from engine.library.search import SearchIndex
from engine.library.searching import Found, Wish
from tui_loraswitch.panes.rows import Rows, Tree, flat_rows

LARGE_FOLDER = 100
"""A folder with more LoRAs starts closed."""


SECONDS = 0.002
"""How long a key waits for what it finds; the rest is found between the keys that follow."""


class LibraryView:
    """The library seen through a filter; each change gives other `rows`.

    In a library of a hundred thousand these may be the first of many: `go_on` finds the rest.
    """

    def __init__(self) -> None:
        self.index = SearchIndex({}, {}, lambda id: None)
        self._rows: Rows | None = None
        self._tree = Tree(self.index)
        self._search = self.index.search("", Wish())
        self.found = self._search.finish()
        self.query = ""
        self.sort: SortOrder = "folders"
        self.is_reversed = False
        self.favourites_first = False
        self.is_near = False
        """Whether the rows are only near to what was typed."""
        self.show_hidden = False
        self._folds: dict[str, bool] = {}

    @property
    def rows(self) -> Rows:
        """The rows of what is found up to now."""
        if self._rows is None:
            is_tree = self.sort == "folders" and not self.is_reversed and not self.favourites_first
            if is_tree:
                self._rows = self._tree.rows(self.found.numbers, self._is_open)
            else:
                self._rows = flat_rows(self.found)
        return self._rows

    @property
    def shown(self) -> int:
        """How many LoRAs the filter lets through."""
        return len(self.found.numbers)

    @property
    def hidden(self) -> int:
        """LoRAs for other models that match the filter and are not shown."""
        return self.found.hidden

    @property
    def total(self) -> int:
        """How many LoRAs the library has."""
        return len(self.index)

    def load(self, index: SearchIndex) -> None:
        """Take what the library knows now."""
        self.index, self._tree = index, Tree(index)
        self._rebuild()

    def restore(self, sort: str, show_hidden: bool) -> None:
        """Start in a remembered order; an unknown one is ignored."""
        name = sort.removesuffix(" reversed")
        self.sort = next((order for order in ORDERS if order == name), "folders")
        self.is_reversed = sort == f"{self.sort} reversed"
        self.show_hidden = show_hidden
        self._rebuild()

    @property
    def remembered_sort(self) -> str:
        """The order as `restore` takes it."""
        return f"{self.sort} reversed" if self.is_reversed else self.sort

    def filter(self, query: str) -> None:
        """Show what matches; see `engine.library.query` for the words it knows."""
        self.query = query
        self._rebuild()

    def matching(self, query: str, most: int) -> list[LibraryEntry]:
        """The first LoRAs that match, by name; what is shown stays."""
        found = self.index.find(query, show_hidden=False, order="name")
        return list(map(self.index.entry, found.numbers[:most]))

    @property
    def best_named(self) -> list[int]:
        """The ids of files whose names have the filter's first word best, in the list's order."""
        return list(map(self.index.id, self.index.best_named(self.query, self.found.numbers)))

    def show_near(self, found: Found) -> None:
        """Show names near to what was typed, as nothing matches."""
        self.is_near = bool(found.numbers)
        self.found = found
        self._rows = flat_rows(found)

    @property
    def all_found(self) -> Found:
        """What the filter shows, closed folders too, to its end."""
        return self.found if self.is_near else self._search.finish()

    def next_sort(self) -> str:
        """Go to the next order; returns its name."""
        self.sort = ORDERS[(ORDERS.index(self.sort) + 1) % len(ORDERS)]
        self.is_reversed = False
        self._rebuild()
        return self.sort

    def order(self, sort: SortOrder, is_reversed: bool) -> None:
        """Go to an order."""
        self.sort, self.is_reversed = sort, is_reversed
        self._rebuild()

    def reverse(self) -> None:
        """Turn the order round."""
        self.is_reversed = not self.is_reversed
        self._rebuild()

    def toggle_favourites_first(self) -> None:
        """Put favourites above all others, or back among them."""
        self.favourites_first = not self.favourites_first
        self._rebuild()

    def toggle_hidden(self) -> None:
        """Show or hide LoRAs that are for another model."""
        self.show_hidden = not self.show_hidden
        self._rebuild()

    def fold(self, key: str, is_open: bool) -> None:
        """Open or close a folder."""
        self._folds[key] = is_open
        self._rebuild()

    def _rebuild(self) -> None:
        self.is_near = False
        wish = Wish(self.sort, self.is_reversed, self.show_hidden, self.favourites_first)
        self._search = self.index.search(self.query, wish)
        self.go_on()

    def go_on(self) -> bool:
        """Find more for a moment; True when all is found."""
        end = time.perf_counter() + SECONDS
        is_complete = self._search.go_on(lambda: time.perf_counter() > end)
        self.found, self._rows = self._search.found(), None
        return is_complete

    def _is_open(self, key: str, count: int) -> bool:
        # A search shows what it found: folders are open then, whatever they were before.
        return bool(self.query) or self._folds.get(key, count <= LARGE_FOLDER)
