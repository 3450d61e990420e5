"""Pictures large: one, two side by side, two in one place by turns, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.screen import ModalScreen

from engine.errors import EngineError
from engine.store.pictures import PictureRow
from engine.words.clean import clean_line
from tui_loraswitch.control.caption import caption_of
from tui_loraswitch.images.compare import Part, difference_of, part_of
from tui_loraswitch.images.halfcell import HalfCellPicture
from tui_loraswitch.panes.background import in_background
from tui_loraswitch.panes.base import Line

Mode = Literal["one", "beside", "difference"]
_STEP = 0.25
"""Of what is seen, by a key that pans."""


class PictureViewer(ModalScreen[None]):
    """Shows the first of some pictures; with two, a key flips between them in place."""

    DEFAULT_CSS = """
    PictureViewer {
        background: $background;
        & > #viewer-area { height: 1fr; }
        & .viewer-half { width: 1fr; height: 100%; align: center middle; }
        & > Line { color: $text-muted; padding: 0 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss(None)", "back", id="viewer.close",
                tooltip="Back to the gallery"),
        Binding("space,tab", "flip", "flip", id="viewer.flip",
                tooltip="The other picture, in the same place"),
        Binding("c", "beside", "side by side", id="viewer.beside",
                tooltip="Both side by side, or one again"),
        Binding("d", "difference", "difference", id="viewer.difference",
                tooltip="Where the two differ: dark is alike, bright is most"),
        Binding("plus,equals_sign,z", "zoom(2.0)", "larger", id="viewer.larger",
                tooltip="Enlarge"),
        Binding("minus,Z", "zoom(0.5)", "smaller", id="viewer.smaller", tooltip="Make smaller"),
        Binding("0", "zoom(0.0)", "whole", id="viewer.whole", tooltip="All of it"),
        Binding("left,h", "pan(-1, 0)", "left", id="viewer.left", show=False,
                tooltip="Pan to the left; the picture before, where all of it is seen"),
        Binding("right,l", "pan(1, 0)", "right", id="viewer.right", show=False,
                tooltip="Pan to the right; the next picture, where all of it is seen"),
        Binding("up,k", "pan(0, -1)", "up", id="viewer.up", show=False, tooltip="Pan up"),
        Binding("down,j", "pan(0, 1)", "down", id="viewer.down", show=False, tooltip="Pan down"),
    ]  # fmt: skip

    def __init__(
        self, pictures: Sequence[PictureRow], first: int, other: Path | None = None
    ) -> None:
        """`pictures` can be gone through from `first` on; `other` is what it is compared with."""
        super().__init__()
        self._pictures = pictures
        self._number = first
        self._other = other
        self._is_flipped = False
        self._mode: Mode = "one"
        self._part = Part()
        self._heads: dict[Path, str] = {}

    def compose(self) -> ComposeResult:
        """Room for two, and a line of words."""
        with Horizontal(id="viewer-area"):
            for name in ("first", "second"):
                with Container(classes="viewer-half", id=f"viewer-{name}"):
                    yield HalfCellPicture(id=f"viewer-{name}-cells")
        yield Line(id="viewer-line")
        yield Line(id="viewer-keys")

    def on_mount(self) -> None:
        """Show the first."""
        keys = "z Z zoom · arrows move · Esc back"
        if self._other is not None:
            keys = f"Space flips · c both · d difference · {keys}"
        self.query_one("#viewer-keys", Line).show(Content(keys))
        self.query_one("#viewer-second").display = False
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """As large as fits."""
        self._draw()

    @property
    def shown(self) -> Path:
        """The picture that is seen, or the left one."""
        if self._is_flipped and self._other is not None and self._mode == "one":
            return self._other
        return self._pictures[self._number].path

    def action_flip(self) -> None:
        """Show the other one in the same place."""
        if self._other is not None:
            self._mode = "one"
            self._is_flipped = not self._is_flipped
            self._draw()

    def action_beside(self) -> None:
        """Both, or one."""
        self._turn("beside")

    def action_difference(self) -> None:
        """Where they differ, or one."""
        self._turn("difference")

    def action_zoom(self, factor: float) -> None:
        """Enlarge or make smaller; 0 shows all."""
        self._part = self._part.zoomed(factor) if factor else Part()
        self._draw()

    def action_pan(self, right: int, down: int) -> None:
        """Move what is seen, or go to the next picture."""
        if self._part.zoom > 1:
            self._part = self._part.moved(right * _STEP, down * _STEP)
        elif right and self._other is None:
            self._number = max(0, min(len(self._pictures) - 1, self._number + right))
        else:
            return
        self._draw()

    def _turn(self, mode: Mode) -> None:
        if self._other is not None:
            self._mode = "one" if self._mode == mode else mode
            self._draw()

    @work(exclusive=True, group="viewer")
    async def _draw(self) -> None:
        second = self.query_one("#viewer-second")
        if second.display != (self._mode == "beside"):
            second.display = self._mode == "beside"
            self.call_after_refresh(self._draw)
            return
        try:
            words = await self._shown_words()
        except EngineError as error:
            words = f"it cannot be shown: {clean_line(str(error), 200)}"
        zoom = f" · {self._part.zoom:g}×" if self._part.zoom > 1 else ""
        self.query_one("#viewer-line", Line).show(Content(f"{words}{zoom}"))

    async def _shown_words(self) -> str:
        """Show what is to be seen; what is said of it."""
        own, other = self._pictures[self._number].path, self._other
        if self._mode == "difference" and other is not None:
            area = self._room("first")
            cells, found = await in_background(difference_of, own, other, self._part, *area)
            self._cells("first").show(cells)
            if not found.largest:
                return f"{clean_line(own.name, 40)} and {clean_line(other.name, 40)}: no difference"
            return (
                f"{clean_line(own.name, 40)} and {clean_line(other.name, 40)}: up to "
                f"{found.largest} of 255, in {found.share:.1%} of the pixels"
            )
        sides = {"first": self.shown}
        if self._mode == "beside" and other is not None:
            sides["second"] = other
            name = " | ".join([await self._named(path, 70) for path in (own, other)])
        else:
            name = await self._named(self.shown, 140)
        if other is None:
            name += f" · {self._number + 1} of {len(self._pictures)}"
        for side, path in sides.items():
            self._cells(side).show(
                await in_background(part_of, path, self._part, *self._room(side))
            )
        return name

    async def _named(self, path: Path, most: int) -> str:
        """The file's name, and the stack and the seed that it was drawn with."""
        if path not in self._heads:
            self._heads[path] = (await in_background(caption_of, path)).head
        return clean_line(" · ".join((path.name, self._heads[path])), most)

    def _room(self, side: str) -> tuple[int, int]:
        size = self.query_one(f"#viewer-{side}").size
        return max(1, size.width), max(1, size.height)

    def _cells(self, side: str) -> HalfCellPicture:
        return self.query_one(f"#viewer-{side}-cells", HalfCellPicture)
