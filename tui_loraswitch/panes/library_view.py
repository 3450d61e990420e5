"""Which LoRAs the list shows: sorted, filtered, unfolded."""

from __future__ import annotations

from engine.library.entry import LibraryEntry
from engine.library.search import SearchIndex, SortOrder
from tui_loraswitch.panes.rows import Rows, build_rows, flat_rows

ORDERS: dict[str, SortOrder] = {"folders": "name", "name": "name", "date": "date", "size": "size"}
"""The orders of the list and what they sort by; only `folders` shows folders."""

LARGE_FOLDER = 100
"""A folder with more LoRAs starts closed."""


class LibraryView:
    """The library seen through a filter; each change gives new `rows`."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.shown = 0
        self.hidden = 0
        """LoRAs for other models that match the filter and are not shown."""
        self.total = 0
        self.query = ""
        self.sort = "folders"
        self.show_hidden = False
        self._by_name = self._index = SearchIndex([])
        self._folds: dict[str, bool] = {}
        self._visible: list[LibraryEntry] = []
        self._shape: object = None

    def load(self, by_name: SearchIndex) -> None:
        """Take the result of a scan."""
        self.total = len(by_name.entries)
        self._by_name = by_name
        self._reorder()

    def restore(self, sort: str, show_hidden: bool) -> None:
        """Start in a remembered order; an unknown one is ignored."""
        self.sort = sort if sort in ORDERS else "folders"
        self.show_hidden = show_hidden
        self._reorder()

    def filter(self, query: str) -> None:
        """Show what matches; see `engine.library.search` for the words it knows."""
        self.query = query
        self._rebuild()

    def found(self, query: str) -> list[LibraryEntry]:
        """The LoRAs that match, by name; what is shown stays."""
        return list(self._by_name.find(query, show_hidden=False).entries)

    @property
    def entries(self) -> list[LibraryEntry]:
        """What the filter shows, closed folders too."""
        return self._visible

    def next_sort(self) -> str:
        """Go to the next order; returns its name."""
        names = list(ORDERS)
        self.sort = names[(names.index(self.sort) + 1) % len(names)]
        self._reorder()
        return self.sort

    def toggle_hidden(self) -> None:
        """Show or hide LoRAs that are for another model."""
        self.show_hidden = not self.show_hidden
        self._rebuild()

    def fold(self, key: str, is_open: bool) -> None:
        """Open or close a folder."""
        self._folds[key] = is_open
        self._rebuild()

    def _reorder(self) -> None:
        self._index = self._by_name.reordered(ORDERS[self.sort])
        self._rebuild()

    def _rebuild(self) -> None:
        found = self._index.find(self.query, show_hidden=self.show_hidden)
        self.shown, self.hidden = len(found.entries), found.hidden
        # Most keystrokes of a query that finds thousands find the same thousands.
        shape = self.sort, bool(self.query), tuple(self._folds.items())
        if found.entries != self._visible or shape != self._shape:
            self._visible, self._shape = found.entries, shape
            is_tree = self.sort == "folders"
            self.rows = build_rows(found, self._is_open) if is_tree else flat_rows(found.entries)

    def _is_open(self, key: str, count: int) -> bool:
        # A search shows what it found: folders are open then, whatever they were before.
        return bool(self.query) or self._folds.get(key, count <= LARGE_FOLDER)
