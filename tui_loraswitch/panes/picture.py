"""The picture pane: previews while drawing, then the picture as well as the terminal can."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from engine.errors import EngineError
from engine.events import (
    CommandFailed,
    Event,
    GenerationCancelled,
    GenerationStarted,
    GenerationStep,
    LoadProgress,
    ModelLoaded,
    PictureSaved,
    Preview,
    StateChanged,
)
from engine.library.text import clean_line
from tui_loraswitch.background import in_background
from tui_loraswitch.images.fit import Source, fit_half_cells, fit_protocol
from tui_loraswitch.images.halfcell import HalfCellPicture
from tui_loraswitch.images.protocol import load_picture_widget
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.panes.base import Line, Pane
from tui_loraswitch.text import bar, duration, gib

log = logging.getLogger(__name__)

PREVIEW_SECONDS = 1.0
"""Previews are the bulk of what is sent over SSH: no more than one in this time."""

READY = "g draws a picture"
NO_MODEL = "no model is loaded\nL loads it again · m chooses one"


@dataclass(frozen=True)
class Drawn:
    """Something to look at, with the words above and below it."""

    source: Source
    title: str
    facts: str = ""

    @classmethod
    def of(cls, picture: PictureSaved, seconds: float) -> Drawn:
        """A finished picture."""
        took = f" · {duration(seconds)}" if seconds else ""
        facts = f"seed {picture.seed} · {picture.width}×{picture.height}{took}"
        return cls(picture.path, f"Picture {clean_line(picture.path.stem, 40)}", facts)

    @property
    def is_file(self) -> bool:
        """False for a preview."""
        return isinstance(self.source, Path)


class PicturePane(Pane, can_focus=True):
    """The picture being drawn, or one of this session's."""

    TITLE = "Picture"
    DEFAULT_CSS = """
    PicturePane {
        padding: 0;
        & > #picture-area { height: 1fr; align: center middle; }
        & #picture-words { width: auto; height: auto; color: $text-muted; text-align: center; }
        & > #picture-line { color: $text-muted; text-align: center; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "turn(-1)", "earlier", id="picture.earlier",
                tooltip="The picture drawn before this one"),
        Binding("right,l", "turn(1)", "later", id="picture.later",
                tooltip="The picture drawn after this one"),
    ]  # fmt: skip

    def __init__(self, terminal: TerminalImages, *, id: str) -> None:
        super().__init__(id=id)
        self._terminal = terminal
        self._pictures: list[Drawn] = []
        self._shown = -1
        self._drawn: Drawn | None = None
        self._seconds = 0.0
        self._last_preview = -math.inf
        self._has_model = False
        self._protocol_widget: Any = None

    def compose(self) -> ComposeResult:
        """The picture or words in its place; below it progress, or facts of the picture."""
        with Container(id="picture-area"):
            yield HalfCellPicture(id="half-cells")
            yield Static("", id="picture-words", markup=False)
        yield Line(id="picture-line")

    def receive(self, event: Event) -> None:
        """Follow the engine."""
        match event:
            case LoadProgress(stage=stage, done=done, total=total):
                self._say(_loading_words(clean_line(stage, 60), done, total))
            case ModelLoaded():
                self._has_model = True
                self._say(READY)
            case StateChanged(state="empty"):
                self._has_model = False
            case GenerationStarted(total_steps=total):
                self._show_progress(0, total, 0.0)
            case GenerationStep(step=step, total_steps=total, seconds=seconds, preview=preview):
                self._seconds = seconds
                self._show_progress(step, total, seconds)
                if preview is not None:
                    self._show_preview(preview)
            case PictureSaved():
                self._pictures.append(Drawn.of(event, self._seconds))
                self._show_saved(len(self._pictures) - 1)
            case GenerationCancelled(total_steps=0):
                self._show_line(Content("cancelled"))
            case GenerationCancelled(step=step, total_steps=total):
                self._show_line(Content(f"cancelled at step {step} of {total}"))
            case CommandFailed(command="generate"):
                self._show_line(Content())
            case CommandFailed(command="load"):
                self._say(READY if self._has_model else NO_MODEL)

    def action_turn(self, count: int) -> None:
        """Show an earlier or later picture of this session."""
        if self._pictures:
            self._show_saved(max(0, min(self._shown + count, len(self._pictures) - 1)))

    def on_resize(self) -> None:
        """The picture is as large as fits."""
        if self._drawn is not None:
            self._draw(self._drawn)

    def _say(self, words: str) -> None:
        if self._drawn is None:
            self.query_one("#picture-words", Static).update(words)

    def _show_progress(self, step: int, total: int, seconds: float) -> None:
        left = f" · {duration(seconds / step * (total - step))} left" if 0 < step < total else ""
        words = f" {step}/{total} · {duration(seconds)}{left}"
        width = max(8, min(40, self.content_size.width - 2 - len(words)))
        done = round(step / max(1, total) * width)
        drawn = bar(step / max(1, total), width)
        self._show_line(
            Content.assemble((drawn[:done], "$accent"), (drawn[done:], "$panel-lighten-2"), words)
        )

    def _show_line(self, content: Content) -> None:
        self.query_one("#picture-line", Line).show(content)

    def _show_preview(self, preview: Preview) -> None:
        now = time.monotonic()
        if now - self._last_preview >= PREVIEW_SECONDS:
            self._last_preview = now
            self._draw(Drawn((preview.width, preview.height, preview.rgb), "Preview"))

    def _show_saved(self, number: int) -> None:
        self._shown = number
        self._draw(self._pictures[number])

    @work(exclusive=True, group="picture")
    async def _draw(self, drawn: Drawn) -> None:
        """Scale in a thread, then show: previews in half cells, files as well as can be."""
        self._drawn = drawn
        room = self.query_one("#picture-area").size
        try:
            if self._terminal.protocol == "off" or room.width < 4 or room.height < 2:
                words = clean_line(str(drawn.source)) if drawn.is_file else "drawing …"
                self._show_words(words, drawn)
            elif drawn.is_file and self._terminal.protocol != "halfcell":
                await self._draw_by_protocol(drawn, room.width, room.height)
            else:
                size = (room.width, room.height)
                cells = await in_background(fit_half_cells, drawn.source, *size)
                self._show_only("half-cells", drawn)
                self.query_one(HalfCellPicture).show(cells)
        except EngineError as error:
            self._show_words(f"the picture cannot be shown: {clean_line(str(error))}", drawn)
        # It only decorates: whatever goes wrong with a picture, the app goes on.
        except Exception:
            log.exception("cannot be shown: %s", drawn.title)
            self._show_words("the picture cannot be shown; the log file has the details", drawn)

    def _show_words(self, words: str, drawn: Drawn) -> None:
        self._show_only("picture-words", drawn)
        self.query_one("#picture-words", Static).update(words)

    async def _draw_by_protocol(self, drawn: Drawn, width: int, height: int) -> None:
        fitted = await in_background(fit_protocol, drawn.source, width, height, self._terminal)
        widget = self._protocol_widget
        if widget is None:
            widget_class = await in_background(load_picture_widget, self._terminal)
            widget = self._protocol_widget = widget_class(id="protocol-picture")
        widget.styles.width, widget.styles.height = fitted.width, fitted.rows
        widget.image = fitted.image
        self._show_only("protocol-picture", drawn)
        if not widget.is_attached:
            await self.query_one("#picture-area").mount(widget)

    def _show_only(self, name: str, drawn: Drawn) -> None:
        """Show one of the ways to draw, with its words in the same frame."""
        self.show_title(Content(drawn.title))
        if drawn.is_file:
            self._show_line(Content(drawn.facts))
        for child in self.query_one("#picture-area").children:
            child.display = child.id == name


def _loading_words(stage: str, done: int, total: int) -> str:
    if not total:
        return f"{stage} …"
    share = f"{gib(done)} of {gib(total)} GiB" if total > 1 << 30 else f"{done * 100 // total} %"
    return f"{stage}\n{bar(done / total, 24)} {share}"
