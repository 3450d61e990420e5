"""The settings screen: steps, sampler, seed, size and the rest of the next picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Select, Static

from engine.errors import EngineError
from engine.protocol.request import EMPTY_NEGATIVES, NOISES
from engine.words.sampler_names import SAMPLERS, SCHEDULES
from tui_loraswitch.config.ui_state import UiState
from tui_loraswitch.screens.settings_form import read_form

_EMPTY_NEGATIVE_WORDS: Mapping[str, str] = {
    "zeros": "zeros, as in A1111",
    "encoded": "the empty text, as in ComfyUI",
}

_NOISE_WORDS: Mapping[str, str] = {
    "CPU": "CPU, as in diffusers",
    "GPU": "GPU, as in A1111 and Forge",
    "ComfyUI": "ComfyUI",
}


class SettingsScreen(ModalScreen[UiState | None]):
    """Edits the settings; gives the new ones, or None when left by Escape."""

    DEFAULT_CSS = """
    SettingsScreen {
        align: center middle;
        & > Vertical {
            width: 62; max-width: 100%; height: auto; padding: 1 2 0 2; background: $background;
            border: round $border; border-title-color: $primary; border-title-style: bold;
            border-subtitle-color: $text-muted;
        }
        & Grid { grid-size: 2; grid-columns: 11 1fr; grid-rows: 1; height: 10; grid-gutter: 0 1; }
        & Label { color: $text-muted; }
        & Input { border: none !important; height: 1; padding: 0 1 !important; }
        & Input:focus { background: $primary 28%; }
        & Select { height: 1; }
        & SelectCurrent { border: none !important; height: 1; padding: 0 1 !important; }
        & Select:focus > SelectCurrent { background: $primary 28%; }
        & #form-note { color: $text-muted; height: 2; }
        & #form-note.-trouble { color: $text-error; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "close", id="settings.close",
                tooltip="Leave the settings as they were"),
        Binding("ctrl+s", "apply", "apply", id="settings.apply", priority=True,
                tooltip="Use these settings"),
        Binding("down", "app.focus_next", "next", show=False, id="settings.next",
                tooltip="Next field"),
        Binding("up", "app.focus_previous", "previous", show=False, id="settings.previous",
                tooltip="Previous field"),
    ]  # fmt: skip

    def __init__(self, state: UiState, default_size: int | None) -> None:
        super().__init__()
        self._state = state
        self._default_size = default_size

    def compose(self) -> ComposeResult:
        """A field a row."""
        state = self._state
        size = f"{state.width}x{state.height}" if state.width and state.height else "auto"
        own = f"auto ({self._default_size}x{self._default_size})" if self._default_size else "auto"
        with Vertical() as box:
            box.border_title = "Settings of the next picture"
            box.border_subtitle = "Tab next · Enter or ^s applies · Escape leaves"
            with Grid():
                yield Label("steps")
                yield Input(str(state.steps), id="steps", compact=True)
                yield Label("sampler")
                yield _choice(SAMPLERS, state.sampler, "sampler")
                yield Label("schedule")
                yield _choice(SCHEDULES, state.schedule, "schedule")
                yield Label("CFG scale")
                yield Input(f"{state.cfg_scale:g}", id="cfg_scale", compact=True)
                yield Label("seed")
                yield Input(str(state.seed), id="seed", placeholder="-1: random", compact=True)
                yield Label("size")
                yield Input(size, id="size", placeholder=f"{own}, 1216x832, …", compact=True)
                yield Label("batch")
                yield Input(str(state.batch), id="batch", compact=True)
                yield Label("clip skip")
                yield Input(str(state.clip_skip), id="clip_skip", compact=True)
                yield Label("no negative")
                yield _choice(
                    EMPTY_NEGATIVES, state.empty_negative, "empty_negative", _EMPTY_NEGATIVE_WORDS
                )
                yield Label("noise")
                yield _choice(NOISES, state.noise, "noise", _NOISE_WORDS)
            words = f"size {own} is what the model was trained on; seed -1 is random"
            yield Static(words, id="form-note", markup=False)

    def on_mount(self) -> None:
        """Fields stand still."""
        for field in self.query(Input):
            field.cursor_blink = False

    @on(Input.Submitted)
    def action_apply(self) -> None:
        """Check the fields and hand the settings back."""
        texts = {field.id or "": field.value for field in self.query(Input)}
        texts |= {choice.id or "": str(choice.value) for choice in self.query(Select)}
        try:
            state = read_form(texts, self._state)
        except EngineError as error:
            note = self.query_one("#form-note", Static)
            note.add_class("-trouble")
            note.update(Content(str(error)))
        else:
            self.dismiss(state)


def _choice(
    names: Sequence[str], value: str, id: str, words: Mapping[str, str] | None = None
) -> Select[str]:
    """One of some names; `words` say what they mean, where that is shown instead."""
    chosen = value if value in names else names[0]
    shown = [((words or {}).get(name, name), name) for name in names]
    return Select(shown, value=chosen, allow_blank=False, compact=True, id=id)
