"""Room for one picture, which is shown as large as fits and as well as the terminal can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from textual.app import ComposeResult
from textual.containers import Container
from textual.widget import Widget

from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.fit import HalfCells, Source, fit_half_cells, fit_protocol
from tui_loraswitch.images.full_picture import FullPicture, Packed
from tui_loraswitch.images.halfcell import HalfCellPicture
from tui_loraswitch.images.in_full import new_picture
from tui_loraswitch.images.terminal import TerminalImages, looked_at_again, with_cell_of_now
from tui_loraswitch.panes.background import in_background

Fitted = HalfCells | Packed
"""A picture made for its room in this terminal."""


@runtime_checkable
class ShowsPictures(Protocol):
    """What shows pictures that a terminal may have lost."""

    def draw_again(self) -> object:
        """Send them again, as the terminal can show them that is there now."""
        ...


class NewArea(Protocol):
    """Gives room for a picture, as the terminal and the line are."""

    def __call__(self, *, keeps: int = 1, id: str) -> PictureArea: ...


class PictureArea(Container):
    """Shows one picture, or another of its children in its place."""

    DEFAULT_CSS = """
    PictureArea { align: center middle; }
    """

    def __init__(
        self, terminal: TerminalImages, budget: PictureBudget, *, keeps: int = 1, id: str
    ) -> None:
        """`keeps` is how many pictures a terminal is to hold that can."""
        super().__init__(id=id)
        self.terminal = terminal
        self._budget = budget
        self._keeps = keeps
        self._full: FullPicture | None = None
        self.half_cells = HalfCellPicture(budget, id="half-cells")

    def compose(self) -> ComposeResult:
        """Half cells at first; a picture in full when it is known that one will be shown."""
        yield self.half_cells
        yield from super().compose()

    @property
    def has_room(self) -> bool:
        """Whether a picture can be seen at all."""
        return self.size.width >= 4 and self.size.height >= 2

    async def fitted(self, source: Callable[[], Source], *, in_full: bool = True) -> Fitted:
        """Make a picture for this room, beside the screen; raises what `source` raises, and
        `FileFormatError`.

        Without `in_full` it is made of characters, which take fewer bytes.
        """
        width, height = max(1, self.size.width), max(1, self.size.height)
        terminal = self.terminal
        if not in_full or terminal.protocol in ("halfcell", "off"):
            is_thrifty = self._budget.is_thrifty
            return await in_background(
                lambda: fit_half_cells(source(), width, height, is_thrifty, terminal.symbols)
            )
        if self._full is None:
            self._full = new_picture(terminal, self._budget, keeps=self._keeps, id="full-picture")
            self._full.display = False
            await self.mount(self._full)
        widget = self._full
        return await in_background(
            lambda: widget.pack(fit_protocol(source(), width, height, with_cell_of_now(terminal)))
        )

    def show(self, picture: Fitted) -> None:
        """Show what was made for this room."""
        if isinstance(picture, HalfCells):
            self.half_cells.show(picture)
            self.show_only(self.half_cells)
        elif self._full is not None:
            self._full.show(picture)
            self.show_only(self._full)

    def show_only(self, shown: Widget) -> None:
        """Show one of the children."""
        for child in self.children:
            # Set for the first time it lays the screen out, even where nothing differs.
            if child.display is not (child is shown):
                child.display = child is shown

    async def send_again(self) -> bool:
        """Send the picture again; True: the terminal is another, which needs another picture."""
        terminal = await in_background(looked_at_again, self.terminal)
        if terminal != self.terminal:
            self.terminal = terminal
            if self._full is not None:
                await self._full.remove()
                self._full = None
            return True
        if self._full is not None and self._full.display:
            self._full.send_again()
        return False
