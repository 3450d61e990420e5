"""The first line: what is loaded on the left, what is live on the right."""

from __future__ import annotations

from textual.content import Content

from engine.protocol.text import plural, stack_words
from engine.protocol.view import EngineView
from engine.words.clean import clean_line
from tui_loraswitch.control.stack_view import StackView
from tui_loraswitch.look.theme import MUTED
from tui_loraswitch.panes.base import Line


class StatusLine(Line):
    """Model, precision and device; state of the weights, by sign, word and colour."""

    DEFAULT_CSS = """
    StatusLine { position: absolute; padding: 0 1; background: $background; }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._view = EngineView()
        self._away = "starting"

    def show_view(self, view: EngineView) -> None:
        """Show an engine."""
        self._view, self._away = view, ""
        self.show_status()

    def show_away(self, words: str) -> None:
        """Say why there is no engine just now."""
        self._away = words
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
        model = self._view.model
        if model is None:
            return name
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
        busy = self._busy()
        sign = Content.styled(f"▸ {busy}  ", "$text-primary") if busy else Content()
        return Content.assemble(sign, self._weights())

    def _busy(self) -> str:
        view, waiting = self._view, len(self._view.waiting)
        if view.stopping:
            return "cancelling"
        words = {"verify": "verifying", "set_backup": "moving the backup"}
        if view.working in words:
            return words[view.working]
        if view.running is not None:
            return f"drawing +{waiting}" if waiting else "drawing"
        if not waiting:
            return ""
        return f"{plural(waiting, 'picture')} {'paused' if view.paused else 'waiting'}"

    def _weights(self) -> Content:
        view = self._view
        if self._away:
            return Content.styled(f"◌ {self._away}", "$text-warning")
        if view.is_loading:
            return Content.styled(f"◌ {_loading_words(view)}", "$text-warning")
        if view.model is None:
            return Content.assemble(
                ("! no model", "bold $text-error"), (" · L loads again, m chooses", MUTED)
            )
        if view.state == "recovering":
            return Content.styled("! recovering the base", "bold $text-error")
        stack = StackView.of(view)
        if stack.pending and stack.switching:
            return Content.styled(
                f"◌ switching to {stack_words(stack.wanted, stack.tagged)}", "$text-warning"
            )
        if not stack.live:
            return Content.styled("● base", "$text-success")
        return Content.styled(f"● {stack_words(stack.live, stack.tagged)}", "$text-success")


def _loading_words(view: EngineView) -> str:
    loading = view.loading
    if loading is None:
        return "loading"
    share = f" {loading.done * 100 // loading.total} %" if loading.total else ""
    return f"{clean_line(loading.stage, 60)}{share}"
