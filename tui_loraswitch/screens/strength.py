"""The strength screen: a typed strength for one LoRA of the stack."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from engine.errors import EngineError
from engine.protocol.refs import LoraRef
from engine.protocol.text import decimals, strength
from engine.words.clean import clean_line
from tui_loraswitch.control.strengths import with_typed
from tui_loraswitch.screens.framed import Framed


class StrengthScreen(ModalScreen[LoraRef | None]):
    """Edits the strengths of a member; gives it back changed, or None when left by Escape."""

    DEFAULT_CSS = """
    StrengthScreen {
        align: center middle;
        & > Vertical {
            width: 62; max-width: 100%; height: auto; padding: 0 2; background: $background;
            border: round $border; border-title-color: $primary; border-title-style: bold;
            border-subtitle-color: $text-muted;
        }
        & Input, & Input:focus { border: none; height: 1; padding: 0; background: $surface; }
        & #strength-note { height: 2; padding-top: 1; color: $text-muted; }
        & #strength-note.-trouble { color: $text-error; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "close", id="strength.close",
                tooltip="Leave the strength as it was"),
    ]  # fmt: skip

    def __init__(self, ref: LoraRef) -> None:
        super().__init__()
        self._ref = ref

    def compose(self) -> ComposeResult:
        """What is typed, and what it means."""
        with Framed("Enter applies · Escape cancels") as box:
            box.border_title = Content(f"Strength of {clean_line(self._ref.name, 40)}")
            field = Input(strength(self._ref), id="strength", compact=True)
            field.cursor_blink = False
            yield field
            yield Static(id="strength-note", markup=False)

    @on(Input.Changed)
    def show_meaning(self, message: Input.Changed) -> None:
        """Say what is typed means, or why it cannot be."""
        note = self.query_one("#strength-note", Static)
        try:
            words = _meaning(with_typed(self._ref, message.value))
        except EngineError as error:
            note.add_class("-trouble")
            note.update(Content(str(error)))
        else:
            note.remove_class("-trouble")
            note.update(Content(words))

    @on(Input.Submitted)
    def apply(self, message: Input.Submitted) -> None:
        """Hand the member back, if what is typed is a strength."""
        try:
            changed = with_typed(self._ref, message.value)
        except EngineError:
            return  # the note says why
        self.dismiss(changed)


def _meaning(ref: LoraRef) -> str:
    words = f"UNet {decimals(ref.unet)} · text encoders {decimals(ref.text_encoder)}"
    if ref.text_encoder_2 is None:
        return words
    return f"{words} and {decimals(ref.text_encoder_2)}"
