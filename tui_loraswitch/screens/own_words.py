"""What one says oneself of a LoRA: strength, base model, trigger groups."""

from __future__ import annotations

import re
from typing import ClassVar

from msgspec import structs
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from engine.errors import EngineError
from engine.store.lora_words import LoraWords
from engine.words.clean import clean_line
from tui_loraswitch.screens.framed import Framed

_STRENGTHS = re.compile(
    r"(?P<best>-?\d+(?:\.\d+)?)?(?:\s*(?P<low>-?\d+(?:\.\d+)?)\s*\.\.\s*(?P<high>-?\d+(?:\.\d+)?))?"
)


class OwnWordsScreen(ModalScreen[LoraWords | None]):
    """Edits a LoRA's words; gives them back, or None when left by Escape."""

    DEFAULT_CSS = """
    OwnWordsScreen {
        align: center middle;
        & > Vertical {
            width: 76; max-width: 100%; height: auto; padding: 0 2; background: $background;
            border: round $border; border-title-color: $primary; border-title-style: bold;
            border-subtitle-color: $text-muted;
        }
        & Horizontal { height: 1; }
        & Label { width: 16; color: $text-muted; }
        & Input, & Input:focus { border: none; height: 1; padding: 0; background: $surface; }
        & > Vertical > Static { height: auto; padding-top: 1; color: $text-muted; }
        & > Vertical > Static.-trouble { color: $text-error; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "close", id="own-words.close",
                tooltip="Leave all as it was"),
    ]  # fmt: skip

    def __init__(self, name: str, words: LoraWords) -> None:
        super().__init__()
        self._name, self._words = clean_line(name, 50), words

    def compose(self) -> ComposeResult:
        """A line for each."""
        words = self._words
        with Framed("Tab goes on · Enter keeps · Escape cancels") as box:
            box.border_title = Content(f"What you say of {self._name}")
            yield from _line("Strength", strengths_text(words), "strength", "0.8 or 0.8 0.4..1.2")
            yield from _line("Base model", words.base_model, "base", "SDXL, SDXL Pony, Flux …")
            triggers = "; ".join(words.triggers)
            yield from _line("Trigger groups", triggers, "triggers", "groups with ; between")
            yield Static("What is empty is as the file says.", id="own-note", markup=False)

    @on(Input.Submitted)
    def keep(self) -> None:
        """Hand them back, if they make sense."""
        strength, base, triggers = (
            self.query_one(f"#own-{name}", Input).value for name in ("strength", "base", "triggers")
        )
        try:
            words = with_strengths(self._words, strength)
        except EngineError as error:
            note = self.query_one("#own-note", Static)
            note.add_class("-trouble")
            note.update(Content(str(error)))
            return
        groups = tuple(filter(None, map(clean_line, triggers.split(";"))))
        self.dismiss(structs.replace(words, base_model=clean_line(base, 60), triggers=groups))


def _line(label: str, text: str, name: str, hint: str) -> ComposeResult:
    with Horizontal():
        yield Label(label)
        field = Input(text, id=f"own-{name}", placeholder=hint, compact=True)
        field.cursor_blink = False
        yield field


def strengths_text(words: LoraWords) -> str:
    """The strength and its range as they are typed."""
    best = "" if words.strength is None else f"{words.strength:g}"
    if words.lowest is None or words.highest is None:
        return best
    return f"{best} {words.lowest:g}..{words.highest:g}".strip()


def with_strengths(words: LoraWords, text: str) -> LoraWords:
    """The words with the strength and range that are typed. Raises `EngineError`."""
    match = _STRENGTHS.fullmatch(text.strip())
    if match is None:
        raise EngineError(f"“{clean_line(text, 40)}” is no strength: 0.8, or 0.8 0.4..1.2.")
    best, low, high = (None if group is None else float(group) for group in match.groups())
    if low is not None and high is not None and not low <= (low if best is None else best) <= high:
        raise EngineError("The strength lies in its range, the lower end first: 0.8 0.4..1.2.")
    return structs.replace(words, strength=best, lowest=low, highest=high)
