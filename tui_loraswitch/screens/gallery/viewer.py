"""Pictures large: one, two side by side, two in one place by turns, and where they differ."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import ModalScreen

from engine.errors import EngineError
from engine.store.pictures import PictureRow
from engine.words.clean import clean_line
from tui_loraswitch.control.caption import caption_of
from tui_loraswitch.images.compare import Part, difference_of, part_of
from tui_loraswitch.images.fit import Pixels
from tui_loraswitch.panes.background import in_background
from tui_loraswitch.panes.base import Line
from tui_loraswitch.panes.picture_area import Fitted, NewArea, PictureArea
from tui_loraswitch.screens.framed import fitting

Mode = Literal["one", "beside", "difference"]
_SIDES = ("first", "second")
_KEPT = 4
"""Pictures made for their room: to flip between two, and two side by side, takes no work again."""
_STEP = 0.25
"""Of what is seen, by a key that pans."""


class PictureViewer(ModalScreen[None]):
    """Shows the first of some pictures; with two, a key flips between them in place."""

    DEFAULT_CSS = """
    PictureViewer {
        background: $background;
        & > #viewer-area { height: 1fr; }
        & PictureArea { width: 1fr; height: 100%; }
        & > Line { color: $text-muted; padding: 0 1; }
    }
    """
    HELP_TITLE = "Picture"
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
        Binding("i", "infotext", "infotext", id="viewer.infotext",
                tooltip="All that its file says of how it was made (PNG Info)"),
        Binding("question_mark,f1", "app.help", "help", id="viewer.help", key_display="?",
                tooltip="These keys"),
    ]  # fmt: skip

    def __init__(
        self,
        new_area: NewArea,
        pictures: Sequence[PictureRow],
        first: int,
        tell_of: Callable[[Path], object],
        other: Path | None = None,
    ) -> None:
        """`pictures` can be gone through from `first` on; `other` is what it is compared with.

        `tell_of` shows what the file of a picture says.
        """
        super().__init__()
        # Of two that are flipped between, the terminal has both.
        self._areas = tuple(new_area(keeps=2, id=f"viewer-{side}") for side in _SIDES)
        self._fitted: dict[Hashable, Fitted] = {}
        self._pictures = pictures
        self._number = first
        self._tell_of = tell_of
        self._other = other
        self._is_flipped = False
        self._mode: Mode = "one"
        self._part = Part()
        self._heads: dict[Path, str] = {}

    def compose(self) -> ComposeResult:
        """Room for two, and a line of words."""
        with Horizontal(id="viewer-area"):
            yield from self._areas
        yield Line(id="viewer-line")
        yield Line(id="viewer-keys")

    def on_mount(self) -> None:
        """Show the first."""
        self._areas[1].display = False

    def on_resize(self) -> None:
        """As large as fits, also at first; of the keys as many as fit."""
        keys = "z Z zoom · ← → earlier, later · i infotext · ? keys · Esc back"
        if self._other is not None:
            keys = "Space flips · c both · d difference · z Z zoom · i infotext · ? keys · Esc back"
        self.query_one("#viewer-keys", Line).show(Content(fitting(keys, self.size.width - 2)))
        self.call_after_refresh(self._draw)

    @property
    def shown(self) -> Path:
        """The picture that is seen, or the left one."""
        if self._is_flipped and self._other is not None and self._mode == "one":
            return self._other
        return self._pictures[self._number].path

    def action_infotext(self) -> None:
        """Show the infotext of what is seen."""
        self._tell_of(self.shown)

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

    @work(exclusive=True, group="viewer-again")
    async def draw_again(self) -> None:
        """Send what is shown again, as the terminal can show it that is there now."""
        if any([await area.send_again() for area in self._areas]):
            self._fitted.clear()
            self._draw()

    @work(exclusive=True, group="viewer")
    async def _draw(self) -> None:
        second = self._areas[1]
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
        if self._mode == "one" and self._other is not None:
            with suppress(EngineError):  # it is said when it is to be seen
                for path in (self._other, self._pictures[self._number].path):
                    await self._part_of(path, self._areas[0])

    async def _shown_words(self) -> str:
        """Show what is to be seen; what is said of it."""
        own, other = self._pictures[self._number].path, self._other
        if self._mode == "difference" and other is not None:
            return await self._show_difference(own, other)
        shown = [self.shown]
        if self._mode == "beside" and other is not None:
            shown.append(other)
            name = " | ".join([await self._named(path, 70) for path in shown])
        else:
            name = await self._named(self.shown, 140)
        if other is None:
            name += f" · {self._number + 1} of {len(self._pictures)}"
        for area, path in zip(self._areas, shown, strict=False):
            area.show(await self._part_of(path, area))
        return name

    async def _show_difference(self, own: Path, other: Path) -> str:
        found = None

        def heat() -> Pixels:
            nonlocal found
            pixels, found = difference_of(own, other, self._part)
            return pixels

        self._areas[0].show(await self._areas[0].fitted(heat))
        names = f"{clean_line(own.name, 40)} and {clean_line(other.name, 40)}"
        if found is None or not found.largest:
            return f"{names}: no difference"
        return f"{names}: up to {found.largest} of 255, in {found.share:.1%} of the pixels"

    async def _part_of(self, path: Path, area: PictureArea) -> Fitted:
        """The part of a picture that is seen, made for its room; the last ones are kept."""
        key = path, self._part, area, area.size
        if key not in self._fitted:
            fitted = await area.fitted(partial(part_of, path, self._part))
            if len(self._fitted) >= _KEPT:
                del self._fitted[next(iter(self._fitted))]
            self._fitted[key] = fitted
        return self._fitted[key]

    async def _named(self, path: Path, most: int) -> str:
        """The file's name, and the stack and the seed that it was drawn with."""
        if path not in self._heads:
            self._heads[path] = (await in_background(caption_of, path)).head
        return clean_line(" · ".join((path.name, self._heads[path])), most)
