"""The gauges: memory and GPU as they move, at one repaint a second at most."""

from __future__ import annotations

from collections import deque

from msgspec import structs
from textual.app import ComposeResult

from engine.monitor.reading import Reading
from engine.protocol.reports import MemoryReport
from engine.protocol.view import EngineView
from tui_loraswitch.panes.base import Line, Pane
from tui_loraswitch.panes.gauge_lines import Figures, gauge_line, gauge_lines

HISTORY_SECONDS = 5
"""One mark of the history; the line is sent only as often."""
HISTORY_MARKS = 24
LINES = 5


class GaugesPane(Pane, can_focus=True):
    """Memory and GPU, in five lines."""

    TITLE = "Memory"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._figures: Figures | None = None
        self._memory = MemoryReport()
        self._on_gpu = False
        self._history: deque[float] = deque(maxlen=HISTORY_MARKS)
        self._next_mark = 0.0

    def compose(self) -> ComposeResult:
        """Lines that repaint one by one."""
        for number in range(LINES):
            yield Line(id=f"gauge-{number}")

    def show_view(self, view: EngineView) -> None:
        """Show what the engine holds and where."""
        on_gpu = view.model is not None and not view.model.device.startswith("cpu")
        if (view.memory, on_gpu) == (self._memory, self._on_gpu):
            return
        if on_gpu != self._on_gpu:
            self._history.clear()
        self._memory, self._on_gpu = view.memory, on_gpu
        if self._figures is not None:
            self._figures = structs.replace(self._figures, memory=self._memory, on_gpu=self._on_gpu)
            self._show()

    def show_reading(self, reading: Reading) -> None:
        """Show a new reading."""
        if reading.monotonic >= self._next_mark:
            self._next_mark = reading.monotonic + HISTORY_SECONDS
            self._history.append(_busyness(reading, self._on_gpu))
        self._figures = Figures(reading, self._memory, self._on_gpu, tuple(self._history))
        self._show()

    def on_resize(self) -> None:
        """Bars fill the width."""
        self._show()

    def _show(self) -> None:
        if self._figures is None:
            return
        if self.display:
            width = self.content_size.width
            lines = gauge_lines(self._figures, width)
            for number, content in enumerate(lines):
                self.query_one(f"#gauge-{number}", Line).show(content)
        compact = self.screen.query_one(GaugeLine)
        if compact.display:
            compact.show(gauge_line(self._figures, compact.content_size.width))


class GaugeLine(Line):
    """The gauges in one line, for the folded screen."""

    DEFAULT_CSS = """
    GaugeLine { position: absolute; padding: 0 1; background: $background; }
    """

    def on_resize(self) -> None:
        """The bar fills the width."""
        self.screen.query_one(GaugesPane).on_resize()


def _busyness(reading: Reading, on_gpu: bool) -> float:
    if on_gpu and reading.gpu is not None:
        return (reading.gpu.utilisation or 0) / 100
    return reading.ram_used / reading.ram_total if reading.ram_total else 0.0
