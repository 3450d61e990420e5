"""A picture by Kitty's protocol, on placeholders that are text to everything in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO

from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui_loraswitch.images import kitty
from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.fit import ProtocolPicture


@dataclass(frozen=True)
class Packed:
    """A picture ready to be sent, and the cells it is shown on."""

    columns: int
    rows: int
    png: bytes = field(repr=False)


def packed(picture: ProtocolPicture) -> Packed:
    """A picture as PNG; for a thread."""
    data = BytesIO()
    picture.image.save(data, "PNG", compress_level=6)
    return Packed(picture.width, picture.rows, data.getvalue())


class KittyPicture(Widget):
    """Shows one picture; the terminal forgets it when the widget goes."""

    DEFAULT_CSS = """
    KittyPicture { width: auto; height: auto; }
    """

    def __init__(self, budget: PictureBudget, *, in_tmux: bool, id: str | None = None) -> None:
        super().__init__(id=id)
        self._budget = budget
        self._in_tmux = in_tmux
        self._number = kitty.PictureNumber()
        self._packed = Packed(0, 0, b"")
        self._is_sent = False

    def show(self, picture: Packed) -> None:
        """Show another picture."""
        is_like = (picture.columns, picture.rows) == (self._packed.columns, self._packed.rows)
        self._packed = picture
        self._send()
        if not is_like:
            self.styles.width, self.styles.height = picture.columns, picture.rows
            self.refresh(layout=True)

    def on_mount(self) -> None:
        """What was shown before there was a screen is sent now."""
        if self._packed.png and not self._is_sent:
            self._send()

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

    def _send(self) -> None:
        if not self.is_attached:
            return
        picture = self._packed
        sequence = kitty.sent(
            picture.png, self._number, picture.columns, picture.rows, in_tmux=self._in_tmux
        )
        self._budget.spend(len(sequence))
        self._is_sent = self._write(sequence)

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
