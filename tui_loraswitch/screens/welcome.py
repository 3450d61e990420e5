"""The first start: what is there, and what to open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from engine.protocol.text import file_size, plural
from engine.words.clean import clean_line
from tui_loraswitch.config.config import expanded
from tui_loraswitch.control.first_models import FirstModel
from tui_loraswitch.look.theme import FAINT, MUTED
from tui_loraswitch.screens.framed import Framed
from tui_loraswitch.screens.options import Options

_ROWS_FOR_WORDS = 15


@dataclass(frozen=True)
class Welcomed:
    """What is to be opened; `model` None is the demo."""

    model: Path | None = None
    loras: tuple[Path, ...] = ()
    models: tuple[Path, ...] = ()
    embeddings: tuple[Path, ...] = ()


class WelcomeScreen(ModalScreen[Welcomed]):
    """Offers the demo, the models that are found, and any path that is typed."""

    DEFAULT_CSS = """
    WelcomeScreen {
        align: center middle;
        & > Vertical {
            width: 76; max-width: 100%; height: auto; max-height: 100%; padding: 0 1;
            overflow-y: auto; scrollbar-size-vertical: 1;
            background: $background; border: round $border; border-title-color: $primary;
            border-title-style: bold; border-subtitle-color: $text-muted;
        }
        & Static { height: auto; }
        & OptionList, & OptionList:focus {
            border: none; padding: 0; height: auto; max-height: 40vh; background: $background;
            scrollbar-size-vertical: 1;
            & > .option-list--option-highlighted { background: $primary 28%; text-style: bold; }
        }
        & Input, & Input:focus {
            border: none; height: 1; padding: 0; background: $surface; margin: 1 0 0 0;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "demo", "the demo", id="welcome.demo",
                tooltip="Open the demo; m in the app chooses a model later"),
    ]  # fmt: skip
    AUTO_FOCUS = "OptionList"

    def __init__(self) -> None:
        super().__init__()
        self._found: list[FirstModel] = []

    def compose(self) -> ComposeResult:
        """What this is, what was found, what to open."""
        with Framed("Tab to type a path · Enter opens · Esc the demo") as box:
            box.border_title = "Welcome to loraswitch"
            yield Static(
                "SDXL with your LoRAs, in this terminal: Enter on a LoRA switches to it, "
                "g draws. What do you want to open?",
                id="welcome-words",
                markup=False,
            )
            yield Static(id="welcome-machine", markup=False)
            yield Options(id="welcome-models")
            path = Input(placeholder="or type the path of a model, or of a folder of models",
                         compact=True)  # fmt: skip
            path.cursor_blink = False
            yield path
            yield Static(id="welcome-note", markup=False)

    def on_mount(self) -> None:
        """Offer the demo until more is found."""
        self._show()

    def on_resize(self) -> None:
        """A low screen has room for what can be opened alone."""
        for name in ("words", "machine"):
            self.query_one(f"#welcome-{name}").display = self.size.height >= _ROWS_FOR_WORDS

    def show_machine(self, words: str) -> None:
        """Say what the model would run on."""
        self.query_one("#welcome-machine", Static).update(Content.styled(words, MUTED))

    def show_found(self, found: list[FirstModel], is_complete: bool) -> None:
        """Show the models that are found so far."""
        self._found = found
        self._show()
        note = "" if is_complete else "looking for models …"
        if is_complete and not found:
            note = "No SDXL model is where A1111, ComfyUI, Forge or InvokeAI keep theirs."
        self._note(note)

    @on(OptionList.OptionSelected)
    def choose(self, message: OptionList.OptionSelected) -> None:
        """Open a model with its program's LoRAs, or the demo."""
        if message.option_index == len(self._found):
            self.action_demo()
            return
        found = self._found[message.option_index]
        place = found.place
        self.dismiss(Welcomed(found.model.path, place.loras, place.models, place.embeddings))

    @on(Input.Submitted)
    def take_path(self, message: Input.Submitted) -> None:
        """Open what was typed."""
        path = expanded(message.value.strip())
        if not message.value.strip():
            self.action_demo()
        elif not path.exists():
            self._note(f"{clean_line(str(path))} is not there.")
        elif path.is_file() or (path / "model_index.json").is_file():
            self.dismiss(Welcomed(path))
        else:
            self.dismiss(Welcomed(models=(path,)))

    def action_demo(self) -> None:
        """Open the demo."""
        self.dismiss(Welcomed())

    def _show(self) -> None:
        options = self.query_one(OptionList)
        here = options.highlighted
        options.clear_options()
        options.add_options([Option(_model_words(found)) for found in self._found])
        words = "a tiny SDXL with ten LoRAs: no download, no GPU"
        options.add_option(Option(Content.assemble("the demo  ", (words, FAINT))))
        options.highlighted = min(here or 0, len(self._found))

    def _note(self, words: str) -> None:
        self.query_one("#welcome-note", Static).update(Content.styled(words, MUTED))


def _model_words(found: FirstModel) -> Content:
    place = found.place
    loras = f" · {plural(len(place.loras), 'LoRA folder')}" if place.loras else ""
    facts = f"{file_size(found.model.size)} · {place.program}{loras}"
    return Content.assemble(clean_line(found.model.name, 60), "  ", (facts, FAINT))
