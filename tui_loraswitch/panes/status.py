"""The first line: what is loaded on the left, what is live on the right."""

from __future__ import annotations

from textual.content import Content

from engine.events import (
    BackupMoved,
    CommandFailed,
    Event,
    LoadProgress,
    ModelInfo,
    ModelLoaded,
    StateChanged,
    Verified,
)
from engine.library.text import clean_line
from engine.reports import StateName
from tui_loraswitch.panes.base import Line
from tui_loraswitch.stack_control import StackView
from tui_loraswitch.text import plural, stack_words
from tui_loraswitch.theme import MUTED


class StatusLine(Line):
    """Model, precision and device; state of the weights, by sign, word and colour."""

    DEFAULT_CSS = """
    StatusLine { position: absolute; padding: 0 1; background: $background; }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._model: ModelInfo | None = None
        self._state: StateName = "empty"
        self._loading = "starting"
        self._busy = ""
        self._drawing = ""
        self._stack = StackView()

    def receive(self, event: Event) -> None:
        """Follow the engine."""
        match event:
            case LoadProgress(stage=stage, done=done, total=total):
                share = f" {done * 100 // total} %" if total else ""
                self._loading = f"{clean_line(stage, 60)}{share}"
            case ModelLoaded(model=model):
                self._model, self._loading = model, ""
                self._state = "base" if self._state == "empty" else self._state
            case StateChanged(state=state):
                self._state = state
                self._model = None if state == "empty" else self._model
            case Verified() | BackupMoved():
                self._busy = ""
            case CommandFailed(command=command):
                self._busy = ""
                self._loading = "" if command == "load" else self._loading
        self.show_status()

    def show_stack(self, view: StackView) -> None:
        """Follow the stack."""
        self._stack = view
        self.show_status()

    def show_busy(self, word: str) -> None:
        """Say what was asked of the engine; its answer ends it."""
        self._busy = word
        self.show_status()

    def show_queue(self, count: int, waiting: int, is_cancelling: bool) -> None:
        """Say how many generations are to be drawn, wait for the model, or are being stopped."""
        more = f" +{count - 1}" if count > 1 else ""
        waits = f"{plural(waiting, 'picture')} waiting" if waiting else ""
        drawing = f"drawing{more}" if count else waits
        self._drawing = "cancelling" if is_cancelling else drawing
        self.show_status()

    def on_resize(self) -> None:
        """Both ends stay at the edges."""
        self.show_status()

    def show_status(self) -> None:
        """Put both halves on the line; the left one gives way."""
        width = self.content_size.width
        right = self._right().truncate(max(12, width * 2 // 3), ellipsis=True)
        room = max(0, width - right.cell_length - 2)
        self.show(
            Content.assemble(self._left().truncate(room, ellipsis=True, pad=True), "  ", right)
        )

    def _left(self) -> Content:
        name = Content.styled("loraswitch", "bold $accent")
        if self._model is None:
            return name
        model = self._model
        device = model.device
        if model.device_name and model.device_name.lower() != device:
            device += f" {clean_line(model.device_name, 60)}"
        mode = "" if model.mode == "resident" else f" · {model.mode}"
        return Content.assemble(
            name,
            "  ",
            clean_line(model.name, 80),
            (f" · {model.dtype} · {device}{mode}", MUTED),
        )

    def _right(self) -> Content:
        busy = " · ".join(word for word in (self._drawing, self._busy) if word)
        sign = Content.styled(f"▸ {busy}  ", "$text-primary") if busy else Content()
        return Content.assemble(sign, self._weights())

    def _weights(self) -> Content:
        if self._loading:
            return Content.styled(f"◌ {self._loading}", "$text-warning")
        if self._model is None:
            return Content.assemble(
                ("! no model", "bold $text-error"), (" · L loads again, m chooses", MUTED)
            )
        if self._state == "recovering":
            return Content.styled("! recovering the base", "bold $text-error")
        if self._stack.pending and self._stack.switching:
            return Content.styled(
                f"◌ switching to {stack_words(self._stack.wanted, self._stack.tagged)}",
                "$text-warning",
            )
        if not self._stack.live:
            return Content.styled("● base", "$text-success")
        words = stack_words(self._stack.live, self._stack.tagged)
        return Content.styled(f"● {words}", "$text-success")
