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
    """Shows one picture; the terminal forgets it when the widget goes.

    `keeps` is how many pictures the terminal holds: one of those that is shown again is not sent
    again.
    """

    def __init__(
        self, budget: PictureBudget, *, in_tmux: bool, keeps: int = 1, id: str | None = None
    ) -> None:
        super().__init__(budget, id=id)
        self._in_tmux = in_tmux
        self._numbers = [kitty.PictureNumber.new() for _ in range(keeps)]
        self._there: dict[kitty.PictureNumber, Packed] = {}
        """What the terminal has."""
        self._is_sent = False
        self._is_sent_unseen = False
        """tmux drops what is sent to a window that is not seen."""

    def pack(self, picture: ProtocolPicture) -> Packed:
        """Make a picture ready to be sent, under a number that is not shown; for a thread."""
        free = [one for one in self._numbers if one is not self._packed.number]
        number = free[0] if free else self._numbers[0]
        size = picture.width, picture.rows
        sequence = kitty.sent(as_png(picture), number, *size, in_tmux=self._in_tmux)
        return Packed(*size, sequence, number)

    def show(self, picture: Packed) -> None:
        """Show another picture; under the number of that before its cells stay as they are."""
        if picture.number is not self._packed.number:
            self.refresh()
        super().show(picture)

    def send(self) -> None:
        """Send the picture, unless the terminal has it; under its number it replaces another."""
        number = self._packed.number
        if number is None or not self.is_attached:
            return
        if self._there.get(number) is self._packed:
            return
        self._there.pop(number, None)
        if self._write(self._packed.sequence):
            self._budget.spend(len(self._packed.sequence))
            self._is_sent = True
            self._is_sent_unseen = self._in_tmux and not self.app.app_focus
            if not self._is_sent_unseen:
                self._there[number] = self._packed

    def send_again(self) -> None:
        """Send the picture, whatever the terminal had."""
        self._there.clear()
        self.send()

    def on_mount(self) -> None:
        """What was shown before there was a screen is sent now."""
        self.watch(self.app, "app_focus", self._look_again, init=False)
        self.send()

    def _look_again(self) -> None:
        if self.app.app_focus and self._is_sent_unseen:
            self.send_again()

    def on_unmount(self) -> None:
        """Leave nothing behind."""
        if self._is_sent:
            for number in self._numbers:
                self._write(kitty.deleted(number, in_tmux=self._in_tmux))

    def render_line(self, y: int) -> Strip:
        """One line of placeholders."""
        number = self._packed.number
        if number is None or y >= self._packed.rows:
            return Strip.blank(self.size.width, self.rich_style)
        style = Style(color=_palette_colour(number.colour))
        cells = range(self._packed.columns)
        segments = [Segment(kitty.cell(y, x, number), style) for x in cells]
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
