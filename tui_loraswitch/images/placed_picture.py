"""A picture by Sixel or iTerm2's protocol, which the terminal paints over cells."""

from __future__ import annotations

from typing import Literal

from rich.segment import Segment
from textual.strip import Strip
from textual.widgets._toast import Toast

from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.fit import ProtocolPicture
from tui_loraswitch.images.full_picture import FullPicture, Packed, as_png
from tui_loraswitch.images.iterm2 import inline
from tui_loraswitch.images.marks import MARK, PaintsPictures


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
        self.refresh()

    def on_mount(self) -> None:
        """Have the driver ask for the picture."""
        driver = self.app._driver
        if isinstance(driver, PaintsPictures):
            driver.picture_over_marks = self._painted
            self._cell = MARK

    def render_line(self, y: int) -> Strip:
        """One line of marks."""
        return Strip([Segment(self._cell * self.size.width, self.rich_style)], self.size.width)

    def _painted(self) -> str:
        # Behind a dialog its cells are there, but the picture would hide the dialog.
        if not self._packed.sequence or self.screen is not self.app.screen:
            return ""
        self._budget.spend(len(self._packed.sequence))
        if isinstance(driver := self.app._driver, PaintsPictures):
            driver.forget_part(self.region)
        # It hides them; they are written again over it.
        for toast in self.screen.query(Toast):
            toast.refresh()
        x, y = self.region.offset
        return f"\x1b7\x1b[{y + 1};{x + 1}H{self._packed.sequence}\x1b8"
