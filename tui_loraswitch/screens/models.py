"""The models screen: the checkpoints in the model folders, to switch to one of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from engine.protocol.text import file_size
from engine.sdxl.prediction import (
    PREDICTION_CHOICES,
    PREDICTION_WORDS,
    Prediction,
    PredictionChoice,
)
from engine.words.clean import clean_line
from tui_loraswitch.control.model_files import ModelFile, demo_model
from tui_loraswitch.look.theme import FAINT, MUTED
from tui_loraswitch.panes.messages import ModelsFound
from tui_loraswitch.screens.framed import Framed
from tui_loraswitch.screens.list_dialog import ListDialog

_NAME_WIDTH, _SIZE_WIDTH, _KIND_WIDTH = 44, 9, 12


class ModelWish(NamedTuple):
    """The model to load, and what the user says it predicts."""

    path: Path | None
    """None is the embedded demo."""
    prediction: PredictionChoice


class ModelsScreen(ListDialog[ModelWish | None]):
    """Lists models as they are found; gives the chosen one, or None when left by Escape.

    `closed` is set when nobody looks any more.
    """

    DEFAULT_CSS = """
    ModelsScreen {
        & OptionList { min-height: 3; max-height: 60vh; }
        & #model-note { height: 3; padding-top: 1; color: $text-muted; }
        & #model-note.-trouble { color: $text-error; }
        & #model-prediction { height: 1; color: $text-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "close", id="models.close",
                tooltip="Leave the model as it is"),
        Binding("tab", "turn_prediction", "prediction", id="models.prediction",
                tooltip="Say what the highlighted model predicts"),
        Binding("down", "list('cursor_down')", "down", show=False, id="models.down",
                tooltip="Next model"),
        Binding("up", "list('cursor_up')", "up", show=False, id="models.up",
                tooltip="Previous model"),
        Binding("pagedown", "list('page_down')", "page down", show=False, id="models.pagedown",
                tooltip="One page down"),
        Binding("pageup", "list('page_up')", "page up", show=False, id="models.pageup",
                tooltip="One page up"),
    ]  # fmt: skip

    def __init__(
        self,
        current: Path | None,
        is_loaded: bool,
        predictions: Mapping[Path | None, Prediction],
    ) -> None:
        super().__init__()
        self._predictions: dict[Path | None, PredictionChoice] = {**predictions}
        self.closed = threading.Event()
        self._current = current
        self._is_loaded = is_loaded
        self._models: list[ModelFile] = [demo_model()]
        self._shown: list[ModelFile] = []
        self._problems: tuple[str, ...] = ()
        self._is_complete = False
        self._has_moved = False
        """The cursor was moved: models found later leave it where it is."""

    def compose(self) -> ComposeResult:
        """The filter, the list, and what is to be said of the highlighted model."""
        with Framed("type to find · Enter loads · Escape closes"):
            filter_line = Input(placeholder="type to find", id="model-filter", compact=True)
            filter_line.cursor_blink = False
            yield filter_line
            models = OptionList(id="model-list", markup=False)
            models.can_focus = False
            yield models
            yield Static(id="model-note", markup=False)
            yield Static(id="model-prediction", markup=False)

    def on_mount(self) -> None:
        """Show what is known already."""
        self._show(self._current)

    def on_unmount(self) -> None:
        """Nobody looks any more."""
        self.closed.set()

    @on(ModelsFound)
    def take_models(self, message: ModelsFound) -> None:
        """Show what the search has found so far."""
        highlighted = self._highlighted
        self._models = [*sorted(message.models, key=_by_name), demo_model()]
        self._problems, self._is_complete = message.problems, message.is_complete
        self._show(highlighted.path if highlighted and self._has_moved else self._current)

    @on(Input.Changed)
    def filter(self) -> None:
        """Show the models whose names have all the words."""
        highlighted = self._highlighted
        self._show(highlighted.path if highlighted else self._current)

    @on(Input.Submitted)
    def choose(self) -> None:
        """Give the highlighted model back, unless it cannot be opened."""
        model = self._highlighted
        if model is not None and not model.problem:
            self.dismiss(ModelWish(model.path, self._prediction(model)))

    @on(OptionList.OptionSelected)
    def choose_by_click(self) -> None:
        """A click on a model chooses it."""
        self.choose()

    @on(OptionList.OptionHighlighted)
    def show_note(self) -> None:
        """Say where the model lies, or why it cannot be opened."""
        self._show_note()

    def action_list(self, movement: str) -> None:
        """Move the list's cursor while the filter keeps the focus."""
        self._has_moved = True
        getattr(self.query_one(OptionList), f"action_{movement}")()

    def action_turn_prediction(self) -> None:
        """The next choice of what the highlighted model predicts."""
        model = self._highlighted
        if model is not None and not model.problem:
            number = PREDICTION_CHOICES.index(self._prediction(model)) + 1
            self._predictions[model.path] = PREDICTION_CHOICES[number % len(PREDICTION_CHOICES)]
            self._show_note()

    def _prediction(self, model: ModelFile) -> PredictionChoice:
        return self._predictions.get(model.path, "auto")

    @property
    def _highlighted(self) -> ModelFile | None:
        number = self.query_one(OptionList).highlighted
        return None if number is None else self._shown[number]

    def _show(self, path: Path | None) -> None:
        """Fill the list; the cursor goes to the model at `path`, or to the first."""
        words = self.query_one(Input).value.casefold().split()
        self._shown = [m for m in self._models if all(w in m.name.casefold() for w in words)]
        models = self.query_one(OptionList)
        models.clear_options()
        models.add_options(Option(self._row(model)) for model in self._shown)
        places = (n for n, model in enumerate(self._shown) if model.path == path)
        models.highlighted = next(places, 0) if self._shown else None
        looking = "" if self._is_complete else " · looking …"
        self.query_one(Vertical).border_title = f"Models {len(self._shown)}{looking}"
        self._show_note()

    def _show_note(self) -> None:
        model = self._highlighted
        note = self.query_one("#model-note", Static)
        note.set_class(model is not None and bool(model.problem), "-trouble")
        if model is None:
            words = "nothing matches" if self._is_complete else "looking for models …"
        elif model.problem or model.path:
            words = model.problem or str(model.path)
        else:
            words = self._words_on_folders()
        note.update(Content(clean_line(words)))
        can_open = model is not None and not model.problem
        prediction = PREDICTION_WORDS[self._prediction(model)] if model and can_open else ""
        line = f"{prediction} · Tab changes" if prediction else ""
        self.query_one("#model-prediction", Static).update(Content(line))

    def _words_on_folders(self) -> str:
        if not self._is_complete:
            return "looking for models …"
        if self._problems:
            return self._problems[0]
        return "loraswitch --models FOLDER names folders to look for models in"

    def _row(self, model: ModelFile) -> Content:
        sign, style = "○", FAINT
        if model.problem:
            sign, style = "!", "$text-error"
        elif model.path == self._current:
            sign, style = ("●", "$text-success") if self._is_loaded else ("◌", "$text-warning")
        name = Content.assemble((f"{sign} ", style), clean_line(model.name, 200))
        return Content.assemble(
            name.truncate(_NAME_WIDTH, ellipsis=True, pad=True),
            (f"{file_size(model.size):>{_SIZE_WIDTH}}  ", MUTED),
            (f"{clean_line(model.kind):<{_KIND_WIDTH}}", FAINT if model.problem else ""),
        )


def _by_name(model: ModelFile) -> tuple[str, str]:
    return model.name.casefold(), str(model.path)
