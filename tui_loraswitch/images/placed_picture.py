"""A picture by Sixel or iTerm2's protocol, which the terminal paints over cells."""

from __future__ import annotations

from typing import Literal

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widgets._toast import Toast

from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.fit import ProtocolPicture
from tui_loraswitch.images.full_picture import FullPicture, Packed, as_png
from tui_loraswitch.images.iterm2 import inline
from tui_loraswitch.images.marks import MARKS, PaintsPictures


class PlacedPicture(FullPicture):
    """Shows one picture, and paints it again when its cells were written to."""

    def __init__(
        self, budget: PictureBudget, protocol: Literal["sixel", "iterm2"], *, id: str | None = None
    ) -> None:
        super().__init__(budget, id=id)
        self._protocol = protocol
        self._cell = " "

    def pack(self, picture: ProtocolPicture) -> Packed:
        """Make a picture ready to be sent; for a thread."""
        if self._protocol == "iterm2":
            sequence = inline(as_png(picture), picture.width, picture.rows)
        else:
            from tui_loraswitch.images.sixel import sixel

            sequence = sixel(picture.image)
        return Packed(picture.width, picture.rows, sequence)

    def send_again(self) -> None:
        """Have its cells written, and with them the picture."""
        self._forget(self.region)
        self.refresh()

    def on_mount(self) -> None:
        """Have the driver ask for the picture, where one more has a mark."""
        driver = self.app._driver
        if isinstance(driver, PaintsPictures):
            free = [mark for mark in MARKS if mark not in driver.pictures]
            self._cell = free[0] if free else " "
            if free:
                driver.pictures[self._cell] = self._painted

    def on_unmount(self) -> None:
        """The mark is free for another."""
        if isinstance(driver := self.app._driver, PaintsPictures):
            driver.pictures.pop(self._cell, None)

    def render_line(self, y: int) -> Strip:
        """One line of marks."""
        return Strip([Segment(self._cell * self.size.width, self.rich_style)], self.size.width)

    def _painted(self) -> str:
        # Behind a dialog its cells are there, but the picture would hide the dialog. While its room
        # is another, it would be painted over what is around it, or scroll the terminal.
        has_room = self.container_viewport.contains_region(self.region)
        has_size = self.region.size == (self._packed.columns, self._packed.rows)
        is_seen = self._packed.sequence and self.screen is self.app.screen
        if not (is_seen and has_room and has_size):
            self._forget(self.region)
            return ""
        self._budget.spend(len(self._packed.sequence))
        # It hides them; they are written again over it.
        for toast in self.screen.query(Toast):
            self._forget(toast.region)
            toast.refresh()
        x, y = self.region.offset
        return f"\x1b7\x1b[{y + 1};{x + 1}H{self._packed.sequence}\x1b8"

    def _forget(self, region: Region) -> None:
        """Have the driver write it anew when it is drawn."""
        if isinstance(driver := self.app._driver, PaintsPictures):
            driver.forget_part(region)
