"""The room of the panes: which are seen, how large, and what the user has made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct, structs
from textual.geometry import Size

from tui_loraswitch.look.layout import RIGHT_PANES, Arrangement, Wishes, arrange


class Edge(Struct, frozen=True):
    """The right edge of a column, or (`above`) the lower one of a pane in it."""

    column: int
    above: int | None = None


class Room:
    """Arranges the panes; `show` puts them where an arrangement says."""

    def __init__(self, show: Callable[[Arrangement], object]) -> None:
        self._show = show
        self._size = Size(0, 0)
        self.wishes = Wishes()
        self.arrangement = Arrangement("floor")

    @property
    def is_alone(self) -> bool:
        """Whether only one pane is seen."""
        return self.arrangement.mode == "single"

    def resize(self, size: Size) -> None:
        """Fill another size."""
        is_resized, self._size = size != self._size, size
        self._arrange(self.wishes, is_resized)

    def restore(self, splits: str) -> None:
        """Take splits as `remembered` told them; what cannot be read of them is left out."""
        words = (word.partition("=") for word in splits.split())
        known = {name: int(lines) for name, _, lines in words if _is_number(lines)}
        self.wishes = structs.replace(self.wishes, splits=known)
        if self._size:
            self._arrange(self.wishes)

    @property
    def remembered(self) -> str:
        """The splits in a form to be kept."""
        return " ".join(f"{name}={lines}" for name, lines in self.wishes.splits.items() if lines)

    def need(self, needs: Iterable[tuple[str, int]]) -> None:
        """Give panes room by the lines that they have to show."""
        wishes = structs.replace(self.wishes, needs=dict(needs))
        if wishes != self.wishes:
            self._arrange(wishes)

    def bring(self, name: str) -> bool:
        """Bring a pane into view, alone where it has no place; False where it was seen already."""
        was_seen = name in self.arrangement.regions
        right = name if name in RIGHT_PANES else self.wishes.right
        wishes = structs.replace(self.wishes, right=right, alone=name)
        arrangement = arrange(*self._size, wishes)
        has_place = name in arrangement.regions or arrangement.mode == "floor"
        self._arrange(wishes if has_place else structs.replace(wishes, is_zoomed=True))
        return not was_seen

    def zoom(self, name: str) -> None:
        """Give a pane the whole screen, or all theirs again."""
        self._arrange(structs.replace(self.wishes, alone=name, is_zoomed=not self.wishes.is_zoomed))

    def leave_zoom(self) -> None:
        """Show all panes again, as far as there is room."""
        self._arrange(structs.replace(self.wishes, is_zoomed=False))

    def widen(self, cells: int) -> None:
        """Make the column of the list wider or narrower."""
        self._split({"left": self.wishes.splits.get("left", 0) + cells})

    def heighten(self, name: str, lines: int) -> None:
        """Make a pane higher or lower, at the cost of the one below it, or else above it."""
        for column in self.arrangement.columns:
            names = [part.name for part in column.parts]
            if name in names and len(names) > 1:
                place = names.index(name)
                is_last = place == len(names) - 1
                above, move = (place - 1, -lines) if is_last else (place, lines)
                self._split(column.moved(above, move))

    def edge_at(self, x: int, y: int) -> Edge | None:
        """What of the frames may be dragged there: between columns, or between panes."""
        columns = self.arrangement.columns
        for number, column in enumerate(columns):
            right, is_last = column.area.right, number + 1 == len(columns)
            if not is_last and x in (right - 1, right) and column.area.contains(column.area.x, y):
                return Edge(number)
            for above, region in enumerate(list(column.regions.values())[:-1]):
                if region.x <= x < region.right and y in (region.bottom - 1, region.bottom):
                    return Edge(number, above)
        return None

    def drag(self, edge: Edge, x: int, y: int) -> None:
        """Put an edge to another place."""
        column = self.arrangement.columns[edge.column]
        if edge.above is not None:
            upper = list(column.regions.values())[edge.above]
            self._split(column.moved(edge.above, y - upper.bottom + 1))
        else:
            name, sign = ("left", 1) if edge.column == 0 else ("side", -1)
            cells = sign * (x - column.area.right + 1)
            self._split({name: self.wishes.splits.get(name, 0) + cells})

    def _split(self, splits: dict[str, int]) -> None:
        wishes = structs.replace(self.wishes, splits={**self.wishes.splits, **splits})
        # What has no effect would have to be taken back before anything else has.
        if arrange(*self._size, wishes).regions != self.arrangement.regions:
            self._arrange(wishes)

    def _arrange(self, wishes: Wishes, is_resized: bool = False) -> None:
        self.wishes = wishes
        before, self.arrangement = self.arrangement, arrange(*self._size, wishes)
        # To show it lays out the whole screen.
        if is_resized or self.arrangement != before:
            self._show(self.arrangement)


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and len(text) < 5
