"""The model the user wants and the one that is loaded."""

from __future__ import annotations

from pathlib import Path

from engine.demo import DEMO_MODEL
from engine.events import CommandFailed, Event, ModelInfo, ModelLoaded, StateChanged
from engine.library.text import clean_line


class ModelControl:
    """Follows loads from the wish to the answer; the app starts with one under way."""

    def __init__(self, wanted: Path | None, remembered: Path | None = None) -> None:
        self.wanted = wanted
        """What was asked for last; None is the embedded demo."""
        self.last_file = wanted or remembered
        """The last that was not the demo: others of the user's lie beside it."""
        self.loaded: ModelInfo | None = None
        self.has_failed = False
        """True when the last load ended without a model."""
        self._unanswered = 1

    @property
    def is_loading(self) -> bool:
        """True until every load asked for is answered."""
        return self._unanswered > 0

    @property
    def is_demo(self) -> bool:
        """Whether the demo is loaded, or wanted while something is loading."""
        if self.loaded is not None and not self.is_loading:
            return self.loaded.is_demo
        return self.wanted in (None, DEMO_MODEL)

    @property
    def advice(self) -> str:
        """What is there after a load that failed, and which keys help."""
        name = clean_line(self.wanted.stem, 60) if self.wanted else "the demo"
        stays = f"{clean_line(self.loaded.name, 60)} stays loaded; " if self.loaded else ""
        return f"{stays}L loads {name} again, m chooses another model"

    def want(self, model: Path | None) -> None:
        """A load was asked for."""
        self.wanted = model
        self.last_file = model or self.last_file
        self._unanswered += 1

    def receive(self, event: Event) -> None:
        """Follow the engine."""
        match event:
            case StateChanged(state="empty"):
                self.loaded = None
            case ModelLoaded(model=model):
                self.loaded = model
                self._answer(has_failed=False)
            case CommandFailed(command="load"):
                self._answer(has_failed=True)

    def _answer(self, has_failed: bool) -> None:
        self._unanswered -= 1
        self.has_failed = has_failed
