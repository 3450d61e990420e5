"""What all pictures in full resolution have in common, whatever the terminal's protocol."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from io import BytesIO

from textual.widget import Widget

from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.fit import ProtocolPicture
from tui_loraswitch.images.kitty import PictureNumber


@dataclass(frozen=True)
class Packed:
    """A picture as the sequence that goes to the terminal, and the cells it is shown on."""

    columns: int
    rows: int
    sequence: str = field(repr=False)
    number: PictureNumber | None = None
    """Kitty's, by which its cells know it."""


NOTHING = Packed(0, 0, "")


class FullPicture(Widget):
    """Shows one picture, as large as its cells."""

    DEFAULT_CSS = """
    FullPicture { width: auto; height: auto; }
    """

    def __init__(self, budget: PictureBudget, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._budget = budget
        self._packed = NOTHING

    @abstractmethod
    def pack(self, picture: ProtocolPicture) -> Packed:
        """Make a picture ready to be sent; for a thread."""

    def send(self) -> None:
        """Send what is shown, as far as the terminal has not got it."""
        self.send_again()

    @abstractmethod
    def send_again(self) -> None:
        """Send what is shown to a terminal that may have lost it."""

    def show(self, picture: Packed) -> None:
        """Show another picture."""
        if picture is self._packed:
            return
        is_like = (picture.columns, picture.rows) == (self._packed.columns, self._packed.rows)
        self._packed = picture
        self.send()
        if not is_like:
            self.styles.width, self.styles.height = picture.columns, picture.rows
            self.refresh(layout=True)


def as_png(picture: ProtocolPicture) -> bytes:
    """The bytes of a PNG file."""
    data = BytesIO()
    picture.image.save(data, "PNG", compress_level=6)
    return data.getvalue()
