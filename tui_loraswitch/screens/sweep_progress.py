"""A sweep as it is drawn: its grid filling, what is drawn now, what is left."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Static

from engine.errors import EngineError
from engine.protocol.text import bar, plural
from engine.words.clean import clean_line
from tui_loraswitch.control.cell_task import SweepProgress
from tui_loraswitch.panes.picture_area import NewArea
from tui_loraswitch.screens.framed import Framed

log = logging.getLogger(__name__)

SHEET_SECONDS = 2.0
"""Between two drawings of the sheet: it is the bulk of what is sent over SSH."""
_NOTHING = (-1, False)
"""Before anything is drawn."""
_WORDS = {
    "preparing": "the cells are being looked at",
    "waiting": "waiting",
    "done": "all is drawn",
    "stopped": "stopped",
    "failed": "failed",
}
_KEYS = {
    "drawing": "x stops · Escape leaves it to be drawn",
    "done": "n another one · Escape closes",
    "stopped": "g goes on · n another one · Escape closes",
    "failed": "g tries again · n another one · Escape closes",
}
"""The keys that do something in a state; those of drawing also while it waits."""


class SweepScreen(ModalScreen[None]):
    """Follows a sweep; leaving the screen leaves it to be drawn."""

    DEFAULT_CSS = """
    SweepScreen {
        align: center middle;
        & > Vertical {
            width: 100%; height: 100%; padding: 0 1; background: $background;
            border: round $border; border-title-color: $primary; border-title-style: bold;
            border-subtitle-color: $text-muted;
        }
        & #sweep-sheet { height: 1fr; }
        & #sweep-workers { height: auto; max-height: 40%; }
        & #sweep-line { height: 1; }
        & #sweep-words { height: 1; color: $text-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,W,T", "dismiss(None)", "close", id="sweep.close",
                tooltip="Leave the screen; what is to be drawn is drawn"),
        Binding("x", "stop", "stop", id="sweep.stop",
                tooltip="Stop, and take what is not drawn out of the queue"),
        Binding("g", "go_on", "go on", id="sweep.go-on",
                tooltip="Go on with what is missing"),
        Binding("n", "new", "new", id="sweep.new",
                tooltip="Another sweep, when this one is done"),
    ]  # fmt: skip

    def __init__(
        self,
        new_area: NewArea,
        title: str,
        progress: SweepProgress,
        stop: Callable[[], object],
        go_on: Callable[[], object],
        new: Callable[[], object],
    ) -> None:
        super().__init__()
        self._sheet = new_area(id="sweep-sheet")
        self._title = title
        self._progress = progress
        self._stop, self._go_on, self._new = stop, go_on, new
        self._shown = -math.inf
        self._drawn = _NOTHING
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """The sheet, and two lines."""
        with Framed(_KEYS["drawing"]):
            yield self._sheet
            yield Static(id="sweep-workers", markup=False)
            yield Static(id="sweep-line", markup=False)
            yield Static(id="sweep-words", markup=False)

    def on_mount(self) -> None:
        """Show how far it is."""
        self.show_progress(self._progress)

    def on_resize(self) -> None:
        """The sheet is as large as fits."""
        self._drawn = _NOTHING
        self.show_progress(self._progress)

    def show_progress(self, progress: SweepProgress) -> None:
        """Show how far it is now."""
        self._progress = progress
        title = " · ".join(filter(None, (self._title, progress.folder)))
        self.query_one(Vertical).border_title = clean_line(title, 60)
        self.query_one(Framed).show_keys(_KEYS.get(progress.state, _KEYS["drawing"]))
        done = bar(progress.drawn / max(1, progress.total), 24)
        counts = f" {progress.drawn}/{plural(progress.total, 'cell')}"
        failed = f" · {progress.failed} failed" if progress.failed else ""
        switches = f" · {plural(progress.switches, 'switch', 'switches')}"
        line = Content.assemble((done, "$accent"), counts, failed, switches)
        self.query_one("#sweep-line", Static).update(line)
        workers = "\n".join(clean_line(words, 300) for words in progress.workers)
        self.query_one("#sweep-workers", Static).update(Content(workers))
        said = _WORDS.get(progress.state, "")
        words = ": ".join(filter(None, (said, clean_line(progress.now, 300))))
        self.query_one("#sweep-words", Static).update(Content(words))
        is_new = (progress.drawn, progress.is_over) != self._drawn
        if is_new and progress.sheet is not None and self._timer is None:
            left = 0.0 if progress.is_over else self._shown + SHEET_SECONDS - time.monotonic()
            self._timer = self.set_timer(max(left, 0.01), self._show_sheet_now)

    def _show_sheet_now(self) -> None:
        self._timer = None
        self._drawn = self._progress.drawn, self._progress.is_over
        self._shown = time.monotonic()
        self._show_sheet()

    def action_stop(self) -> None:
        """Stop."""
        self._stop()

    def action_go_on(self) -> None:
        """Go on with what is missing."""
        self._go_on()

    def action_new(self) -> None:
        """Another sweep."""
        self.dismiss(None)
        self._new()

    @work(exclusive=True, group="sheet-again")
    async def draw_again(self) -> None:
        """Send the sheet again, as the terminal can show it that is there now."""
        if await self._sheet.send_again():
            self._show_sheet()

    @work(exclusive=True, group="sheet")
    async def _show_sheet(self) -> None:
        """Show the sheet, while it fills in characters, which take fewer bytes."""
        path = self._progress.sheet
        if path is None or not path.exists() or not self._sheet.has_room:
            return
        try:
            sheet = await self._sheet.fitted(lambda: path, in_full=self._progress.is_over)
        except EngineError as error:
            log.warning("the sheet cannot be shown: %s", error)
        else:
            self._sheet.show(sheet)
