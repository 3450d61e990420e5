"""A picture by Kitty's protocol, on placeholders that are text to everything in between."""

from __future__ import annotations

from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui_loraswitch.images import kitty
from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.fit import ProtocolPicture
from tui_loraswitch.images.full_picture import FullPicture, Packed, as_png


class KittyPicture(FullPicture):
    """Shows one picture; the terminal forgets it when the widget goes."""

    def __init__(self, budget: PictureBudget, *, in_tmux: bool, id: str | None = None) -> None:
        super().__init__(budget, id=id)
        self._in_tmux = in_tmux
        self._number = kitty.PictureNumber()
        self._is_sent = False
        self._is_sent_unseen = False
        """tmux drops what is sent to a window that is not seen."""

    def pack(self, picture: ProtocolPicture) -> Packed:
        """Make a picture ready to be sent; for a thread."""
        size = picture.width, picture.rows
        sequence = kitty.sent(as_png(picture), self._number, *size, in_tmux=self._in_tmux)
        return Packed(*size, sequence)

    def send_again(self) -> None:
        """Send the picture; under the same number it takes the place of the one before."""
        if self._packed.sequence and self.is_attached:
            self._budget.spend(len(self._packed.sequence))
            self._is_sent = self._write(self._packed.sequence)
            self._is_sent_unseen = self._in_tmux and not self.app.app_focus

    def on_mount(self) -> None:
        """What was shown before there was a screen is sent now."""
        self.watch(self.app, "app_focus", self._look_again, init=False)
        if not self._is_sent:
            self.send_again()

    def _look_again(self) -> None:
        if self.app.app_focus and self._is_sent_unseen:
            self.send_again()

    def on_unmount(self) -> None:
        """Leave nothing behind."""
        if self._is_sent:
            self._write(kitty.deleted(self._number, in_tmux=self._in_tmux))

    def render_line(self, y: int) -> Strip:
        """One line of placeholders."""
        if y >= self._packed.rows:
            return Strip.blank(self.size.width, self.rich_style)
        style = Style(color=_palette_colour(self._number.colour))
        cells = range(self._packed.columns)
        segments = [Segment(kitty.cell(y, x, self._number), style) for x in cells]
        return Strip(segments, self._packed.columns)

    def _write(self, sequence: str) -> bool:
        driver = self.app._driver
        if driver is None:
            return False
        driver.write(sequence)
        return True


def _palette_colour(number: int) -> Color:
    """One of the 256 colours, written by its number on every terminal.

    Textual writes such a colour as red, green and blue, or as one that looks like it, which would
    be the number of another picture; one that has its triplet already it leaves as it is.
    """
    return Color("", ColorType.EIGHT_BIT, number, ColorTriplet(0, 0, 0))
