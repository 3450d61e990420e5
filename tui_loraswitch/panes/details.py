"""The details pane: the highlighted LoRA's picture, trigger words and metadata."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget

from engine.errors import FileFormatError
from engine.library.entry import LibraryEntry
from engine.words.clean import clean_line
from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.fit import HalfCells, Source, fit_half_cells
from tui_loraswitch.images.halfcell import HalfCellPicture
from tui_loraswitch.panes.background import in_background
from tui_loraswitch.panes.base import Pane
from tui_loraswitch.panes.details_content import details_content
from tui_loraswitch.panes.wrapped_text import WrappedText

log = logging.getLogger(__name__)

SETTLE = 0.12
"""Seconds without a key before the picture of a LoRA is read."""
MAX_READING = 3
"""Pictures read at the same time: large ones take memory, and some drives never answer."""
PATIENCE = 0.5
"""Seconds until another try while so many are being read."""
MIN_TEXT_WIDTH = 24
REST = 0.6
"""Seconds without a key before all of a LoRA's file is read, for what it changes."""
MAX_EFFECTS = 500


class DetailsText(WrappedText):
    """The text, which scrolls when it is long."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "down", show=False, id="details.down", tooltip="Scroll down"),
        Binding("k", "scroll_up", "up", show=False, id="details.up", tooltip="Scroll up"),
    ]


class DetailsPane(Pane):
    """What is known of the highlighted LoRA."""

    TITLE = "Details"
    DEFAULT_CSS = """
    DetailsPane {
        & HalfCellPicture { margin-right: 1; }
    }
    """

    def __init__(self, budget: PictureBudget, *, id: str, shows_pictures: bool = True) -> None:
        super().__init__(id=id)
        self._budget = budget
        self._text = DetailsText(id="details-text")
        self._picture = HalfCellPicture(budget, id="details-picture")
        self.entry: LibraryEntry | None = None
        """The LoRA that is shown."""
        self._settle: Timer | None = None
        self._rest: Timer | None = None
        self._refused = ""
        self._effects: dict[tuple[object, ...], str] = {}
        self._shows_pictures = shows_pictures
        self._reading = threading.BoundedSemaphore(MAX_READING)

    def compose(self) -> ComposeResult:
        """Picture and text side by side; without a picture the text has all the room."""
        self._picture.display = False
        yield Horizontal(self._picture, self._text)

    def focus_target(self) -> Widget:
        """The text, for scrolling."""
        return self._text

    def show_entry(self, entry: LibraryEntry | None, refused: str = "") -> None:
        """Show another LoRA: its words now, its picture when the cursor stays."""
        is_same = entry is self.entry
        self.entry = entry
        self.show_title(Content(clean_line(entry.name) if entry else self.TITLE))
        self._refused = refused
        self._show_text()
        if not is_same:
            self._picture_later()
            self._effect_later()

    def note_key(self) -> None:
        """A key has come: what decorates the LoRA waits until none does.

        The modules for it are imported with the first, which holds the screen for 20 to 60 ms.
        """
        for timer in (self._settle, self._rest):
            if timer is not None:
                timer.reset()

    def _show_text(self) -> None:
        entry = self.entry
        effect = self._effects.get(_version(entry), "") if entry else ""
        self._text.show(details_content(entry, self._refused, effect) if entry else Content())

    def _effect_later(self) -> None:
        if self._rest is not None:
            self._rest.stop()
        entry = self.entry
        if entry is not None and not entry.error and _version(entry) not in self._effects:
            self._rest = self.set_timer(REST, self._work_out_effect)

    @work(exclusive=True, group="details-effect")
    async def _work_out_effect(self) -> None:
        """Work out in a thread what the LoRA changes."""
        entry = self.entry
        if entry is None:
            return
        words = await in_background(effect_words, entry.path)
        if len(self._effects) > MAX_EFFECTS:
            self._effects.clear()
        self._effects[_version(entry)] = words
        if entry == self.entry:
            self._show_text()

    def on_resize(self) -> None:
        """The picture is as high as the pane."""
        self._picture_later()

    def _picture_later(self, seconds: float = SETTLE) -> None:
        if self._settle is not None:
            self._settle.stop()
        if self._shows_pictures:
            self._settle = self.set_timer(seconds, self._load_picture)

    @work(exclusive=True, group="details-picture")
    async def _load_picture(self) -> None:
        """Read and scale the preview in a thread."""
        room = self.content_size
        height = min(room.height, max(6, room.height // 2))
        width = min(2 * height, room.width - MIN_TEXT_WIDTH)
        cells: HalfCells | None = None
        if self.entry is not None and width > 4 and height > 2 and not self.entry.error:
            if not self._reading.acquire(blocking=False):
                self._picture.display = False
                self._picture_later(PATIENCE)
                return
            try:
                cells = await in_background(self._read, self.entry, width, height)
            # It only decorates: whatever goes wrong with a picture, the app goes on.
            except Exception:
                log.exception("no preview of %s", self.entry.path)
        self._picture.display = cells is not None
        if cells is not None:
            self._picture.show(cells)

    def _read(self, entry: LibraryEntry, width: int, height: int) -> HalfCells | None:
        try:
            return read_preview(entry, width, height, self._budget.is_thrifty)
        finally:
            self._reading.release()


def effect_words(path: Path) -> str:
    """Which blocks a LoRA changes, as a row of bars; empty where that cannot be told."""
    from engine.lora.effect import effect_of
    from tui_loraswitch.control.effect_chart import chart

    try:
        effect = effect_of(path)
    except FileFormatError as error:
        log.info("no chart: %s", error)  # its row says what is wrong
        return ""
    return chart(effect) if effect.modules else ""


def _version(entry: LibraryEntry) -> tuple[object, ...]:
    return entry.path, entry.size, entry.mtime_ns


def read_preview(
    entry: LibraryEntry, width: int, height: int, is_thrifty: bool = False
) -> HalfCells | None:
    """The first preview that can be decoded, beside the file or in its header; None without one."""
    for source in _previews(entry):
        try:
            return fit_half_cells(source, width, height, is_thrifty)
        except FileFormatError as error:
            # No trouble worth words on the screen: another is taken, or there is no picture.
            log.info("no preview: %s", error)
    return None


def _previews(entry: LibraryEntry) -> Iterator[Source]:
    from engine.files.header import read_header
    from engine.library.previews import embedded_previews

    yield from entry.previews
    with suppress(FileFormatError):  # its row says why
        yield from embedded_previews(read_header(entry.path))
