"""The gallery's screen: a search, the grid, and what made the picture under the cursor."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar, Protocol

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from engine.errors import EngineError
from engine.gallery.scan import ScanReport
from engine.gallery.thumbnails import Thumbnails
from engine.protocol.text import plural
from engine.store.pictures import PictureRow
from engine.words.clean import clean_line
from tui_loraswitch.control.caption import Caption, caption_of
from tui_loraswitch.control.gallery_search import read_search
from tui_loraswitch.panes.background import in_background
from tui_loraswitch.panes.base import Line
from tui_loraswitch.panes.picture_area import NewArea
from tui_loraswitch.screens.gallery.grid import ROWS, WIDTH, GalleryGrid
from tui_loraswitch.screens.gallery.loader import ThumbnailLoader
from tui_loraswitch.screens.gallery.records import GalleryRecords, preview_place
from tui_loraswitch.screens.gallery.viewer import PictureViewer
from tui_loraswitch.screens.question import QuestionScreen

_KEYS = (
    "Enter large · Space marks to compare · c use again · m with a new seed\n"
    "i infotext · y copy · / search · f ★ · d trash · u undo · ? keys · Esc leaves"
)
_ROWS_FOR_KEYS = 20
_READ_EVERY = 0.5
"""Seconds between two readings of the store while a scan goes on."""


class GalleryWishes(Protocol):
    """What the gallery has the app do."""

    def use_again(self, path: Path, draw: bool) -> object:
        """Load prompt, settings and stack of a picture; `draw` it with a new seed."""
        ...

    def copy_of(self, path: Path) -> object:
        """Offer what can be copied of a picture."""
        ...

    def tell_of(self, path: Path) -> object:
        """Show what the file of a picture says of how it was made."""
        ...


class GalleryScreen(ModalScreen[None]):
    """All pictures of every day; its keys act on the one under the cursor."""

    DEFAULT_CSS = """
    GalleryScreen {
        background: $background;
        & > #gallery-title { padding: 0 1; text-style: bold; color: $primary; }
        & > Input, & > Input:focus {
            border: none; height: 1; padding: 0 1; background: $surface; display: none;
        }
        & > Input.-open { display: block; }
        & > GalleryGrid { padding: 0 1; }
        & > .gallery-words { padding: 0 1; color: $text-muted; }
        & > #gallery-keys { height: auto; max-height: 2; }
    }
    """
    HELP_TITLE = "Gallery"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "leave", id="gallery.close",
                tooltip="End the search, or leave the gallery"),
        Binding("P,q", "dismiss(None)", "leave", id="gallery.leave", show=False,
                tooltip="Leave the gallery"),
        Binding("enter", "open", "large", id="gallery.open",
                tooltip="Large; with a mark, compared with the marked one"),
        Binding("slash", "search", "search", id="gallery.search", key_display="/",
                tooltip="Search by words, lora:NAME, seed:7, date:2026-11-27 or today, fav:"),
        Binding("space,M", "mark", "mark", id="gallery.mark",
                tooltip="Mark a picture to compare others with"),
        Binding("f", "favourite", "favourite", id="gallery.favourite",
                tooltip="A favourite, or no longer"),
        Binding("c", "use_again(False)", "use again", id="gallery.again",
                tooltip="Its prompt, settings and stack become those of now"),
        Binding("m", "use_again(True)", "more like this", id="gallery.more",
                tooltip="Draw with its settings and a new seed"),
        Binding("d,delete", "trash", "trash", id="gallery.trash",
                tooltip="Put the picture into the trash; u takes it back"),
        Binding("u", "undo", "undo", id="gallery.undo",
                tooltip="Take the last picture back out of the trash, or the last preview back"),
        Binding("V", "preview", "preview", id="gallery.preview",
                tooltip="Make it the preview of a LoRA that it was drawn with"),
        Binding("y", "copy", "copy", id="gallery.copy",
                tooltip="Copy prompt, infotext or path"),
        Binding("i", "infotext", "infotext", id="gallery.infotext",
                tooltip="All that its file says of how it was made (PNG Info)"),
        Binding("question_mark,f1", "app.help", "help", id="gallery.help", key_display="?",
                tooltip="These keys"),
    ]  # fmt: skip

    class Scanned(Message):
        """A scan has put something into the store, or is at its end."""

        def __init__(self, report: ScanReport, is_done: bool) -> None:
            super().__init__()
            self.report, self.is_done = report, is_done

    def __init__(
        self,
        records: GalleryRecords,
        thumbnails: Thumbnails,
        wishes: GalleryWishes,
        new_area: NewArea,
    ) -> None:
        super().__init__()
        self._new_area = new_area
        self._records = records
        self._wishes = wishes
        grid_ready = self._thumbnail_ready
        self._loader = ThumbnailLoader(thumbnails, (WIDTH, ROWS), grid_ready)
        self._total = 0
        self._scan_words = "looking for pictures …"
        self._has_scanned = False
        self._last_read = 0.0
        self._caption: Caption | None = None

    def compose(self) -> ComposeResult:
        """From the top: title, search, pictures, what made one of them, the keys."""
        yield Line(id="gallery-title")
        yield Input(
            placeholder="words, lora:NAME, seed:7, date:2026-11, today, fav:", id="gallery-search"
        )
        yield GalleryGrid(self._loader, id="gallery-grid")
        yield Line(id="gallery-prompt", classes="gallery-words")
        yield Line(id="gallery-facts", classes="gallery-words")
        yield Static(Content(_KEYS), id="gallery-keys", classes="gallery-words")

    def on_mount(self) -> None:
        """Show what is known at once, then what a scan finds."""
        self.grid.focus()
        self._read()

    def on_resize(self) -> None:
        """On a low screen the pictures need the room of the keys."""
        self.query_one("#gallery-keys").display = self.size.height >= _ROWS_FOR_KEYS
        self._show_title()

    def on_unmount(self) -> None:
        """End what runs beside."""
        self._loader.close()
        self._records.close()

    @property
    def grid(self) -> GalleryGrid:
        """The pictures."""
        return self.query_one(GalleryGrid)

    # Keys.

    def action_leave(self) -> None:
        """End the search, or leave."""
        search = self.query_one(Input)
        if search.has_class("-open"):
            search.value = ""
            search.remove_class("-open")
            self.grid.focus()
        else:
            self.dismiss(None)

    def action_search(self) -> None:
        """Write what is wanted."""
        search = self.query_one(Input)
        search.add_class("-open")
        search.focus()

    def action_mark(self) -> None:
        """Mark, and go on."""
        self.grid.toggle_mark()
        self._show_title()

    def action_open(self) -> None:
        """Show it large, beside the marked one where there is one."""
        row = self.grid.row
        if row is None:
            return
        marked = self.grid.marked
        others = [path for path in marked if path != row.path]
        other = others[-1] if others else None
        viewer = PictureViewer(
            self._new_area, self.grid.rows, self.grid.cursor, self._wishes.tell_of, other
        )
        self.app.push_screen(viewer)

    @on(GalleryGrid.Opened)
    def open_clicked(self) -> None:
        """A click on the picture under the cursor is Enter."""
        self.action_open()

    def action_favourite(self) -> None:
        """A favourite, or no longer."""
        if (row := self.grid.row) is not None:
            self._do(partial(self._records.set_favourite, row.path, not row.favourite))

    def action_trash(self) -> None:
        """Put it into the trash."""
        if (row := self.grid.row) is not None:
            self._do(
                partial(self._records.throw_away, row.path), "u takes it back out of the trash"
            )

    def action_undo(self) -> None:
        """Take the last one back."""
        self._do(lambda: self._records.take_back() or "There is nothing to take back.")

    def action_use_again(self, draw: bool) -> None:
        """Go back to the main screen with the picture's prompt, settings and stack."""
        if (row := self.grid.row) is not None:
            self._wishes.use_again(row.path, draw)
            if not draw:
                self.dismiss(None)

    def action_copy(self) -> None:
        """Offer what can be copied."""
        if (row := self.grid.row) is not None:
            self._wishes.copy_of(row.path)

    def action_infotext(self) -> None:
        """Show its infotext."""
        if (row := self.grid.row) is not None:
            self._wishes.tell_of(row.path)

    def action_preview(self) -> None:
        """Choose the LoRA whose preview it becomes."""
        row, caption = self.grid.row, self._caption
        if row is None or caption is None:
            return
        loras = {clean_line(path.stem, 50): path for path in caption.loras if path.is_file()}
        if not loras:
            self._say("No LoRA of this picture is where it was, so there is none to show it.")
        elif len(loras) == 1:
            self._confirm_preview(row.path, next(iter(loras.values())))
        else:
            ask = QuestionScreen("Preview of which LoRA?", tuple(loras))
            self.app.push_screen(
                ask, lambda name: self._confirm_preview(row.path, loras[name]) if name else None
            )

    def _confirm_preview(self, picture: Path, lora: Path) -> None:
        def write() -> None:
            self._do(
                partial(self._records.write_preview, picture, lora),
                f"the preview of {lora.stem} is written; u takes it back",
            )

        if not preview_place(lora).exists():
            write()
            return
        replace = "Replace it"
        words = f"{clean_line(lora.stem, 30)} has a preview"
        ask = QuestionScreen(words, (replace, "Keep it"))
        self.app.push_screen(ask, lambda answer: write() if answer == replace else None)

    # What is shown.

    @on(Input.Changed)
    def narrow(self) -> None:
        """Show what is wanted."""
        self._read()

    @on(Input.Submitted)
    def search_done(self) -> None:
        """Back to the pictures."""
        self.grid.focus()

    @on(GalleryGrid.Moved)
    def describe(self) -> None:
        """What made the picture under the cursor."""
        self._describe(self.grid.row)

    @work(exclusive=True, group="gallery-read")
    async def _read(self) -> None:
        search = read_search(self.query_one(Input).value)
        try:
            rows = await in_background(self._records.find, search)
        except EngineError as error:
            self._say(str(error))
            return
        self.grid.show(rows)
        self._show_title()
        if not self._has_scanned:
            # Not before what is known is seen: the two would wait for each other.
            self._has_scanned = True
            self._scan()
        if self._records.warning:
            self._say(self._records.warning)

    def _show_title(self) -> None:
        count = plural(len(self.grid.rows), "picture")
        scan = f" · {self._scan_words}" if self._scan_words else ""
        marked = len(self.grid.marked)
        marks = f" · {marked} marked: Enter on another compares" if marked == 1 else ""
        marks = " · 2 marked: Enter compares" if marked == 2 else marks
        keys = "" if self.query_one("#gallery-keys").display else " · ? keys · Esc leaves"
        title = f"Gallery · {count}{marks}{scan}{keys}"
        self.query_one("#gallery-title", Line).show(Content(title))

    @work(exclusive=True, group="gallery-caption")
    async def _describe(self, row: PictureRow | None) -> None:
        self._caption = None
        lines = ("no picture is found", "")
        if row is not None:
            try:
                caption = await in_background(caption_of, row.path)
                self._caption = caption
                lines = (caption.words or "no prompt is told", caption.facts)
            except EngineError as error:
                lines = (str(error), "")
        for name, words in zip(("#gallery-prompt", "#gallery-facts"), lines, strict=True):
            self.query_one(name, Line).show(Content(clean_line(words, 1000)))

    @work(exclusive=True, group="gallery-scan")
    async def _scan(self) -> None:
        def tell(report: ScanReport) -> None:
            self.post_message(self.Scanned(report, False))

        try:
            report = await in_background(self._records.scan, tell)
        except EngineError as error:
            self._say(str(error))
            return
        self.post_message(self.Scanned(report, True))

    def on_gallery_screen_scanned(self, message: GalleryScreen.Scanned) -> None:
        """Show what a scan has found, from time to time."""
        report = message.report
        self._scan_words = "" if message.is_done else f"{report.read} new ones read …"
        if message.is_done and report.problems:
            self._scan_words = f"{plural(report.problems, 'file')} cannot be read"
        changed = report.read or report.gone
        if changed and (message.is_done or time.monotonic() - self._last_read > _READ_EVERY):
            self._last_read = time.monotonic()
            self._read()
        else:
            self._show_title()

    def _thumbnail_ready(self, path: Path, cells: object) -> None:
        # On the loader's thread.
        if self.is_mounted:
            self.grid.post_message(GalleryGrid.Ready(path, cells))  # type: ignore[arg-type]

    @work(group="gallery-do")
    async def _do(self, action: Callable[[], str | None], words: str = "") -> None:
        """Do it beside the screen, and say the words, or those that it gives."""
        try:
            said = await in_background(action)
        except EngineError as error:
            self._say(str(error))
            return
        if words := words or said or "":
            self._say(words, "information")
        self._read()

    def _say(self, words: str, severity: str = "warning") -> None:
        self.app.notify(clean_line(words), severity=severity, markup=False)  # type: ignore[arg-type]
