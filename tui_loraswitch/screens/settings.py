"""The settings screen: all that the next picture is drawn with, in sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, VerticalScroll
from textual.content import Content
from textual.events import DescendantFocus
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, Label, Select, Static

from engine.errors import EngineError
from engine.protocol.passes import RESIZES, UPSCALERS
from engine.protocol.request import EMPTY_NEGATIVES, NOISES
from engine.words.plain_number import plain_number
from engine.words.sampler_names import SAMPLERS, SCHEDULES
from engine.words.sizes import SHAPES, TRAINED, WORDS, shape_size
from tui_loraswitch.config.ui_state import UiState
from tui_loraswitch.screens.choice import Choice
from tui_loraswitch.screens.framed import Framed
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


_RESIZE_WORDS: Mapping[str, str] = {
    "crop": "cut off at its edges",
    "stretch": "stretched",
    "fill": "edges drawn out",
}

_HINTS: Mapping[str, str] = {
    "seed": "-1 draws a new one for every picture",
    "size": f"1216x832, or a name: {', '.join((*WORDS, *SHAPES))}",
    "styles": "names from the file of styles, with commas between",
    "clip_skip": "which layer of the text encoders counts, from the end; 2 is SDXL's own",
    "variation_seed": "whose noise is mixed in; -1 draws one for every picture",
    "variation_strength": "0: the seed's own noise; 1: the variation seed's",
    "region_ratios": "widths and heights for ADDCOL and ADDROW: 1,2 or 1,2,1;3,1",
    "region_masks": "pictures, white where a region lies, with semicolons between",
    "start_picture": "a file to draw anew; I takes the picture that is shown; empty: noise alone",
    "denoising": "0: the picture itself; 1: nothing of it",
    "mask": "a picture: white is drawn anew, black stays exactly as it is",
    "mask_blur": "pixels by which the mask's edge is softened",
    "hires_scale": "how many times larger, such as 1.5; 1: no second pass",
    "hires_steps": "0: as many as in the first pass",
    "hires_prompt": "with its own <lora:…> tags; empty: that of the first pass",
}


class _Sections(VerticalScroll, can_focus=False, inherit_bindings=False):
    """Scrolls to what has the focus; the keys that would scroll it go from field to field."""


class SettingsScreen(ModalScreen[UiState | None]):
    """Edits the settings; gives the new ones, or None when left by Escape."""

    DEFAULT_CSS = """
    SettingsScreen {
        align: center middle;
        & > Vertical {
            width: 66; max-width: 100%; height: auto; max-height: 100%; padding: 0 1 0 2;
            background: $background;
            border: round $border; border-title-color: $primary; border-title-style: bold;
            border-subtitle-color: $text-muted;
        }
        & VerticalScroll { height: auto; max-height: 100h; scrollbar-size-vertical: 1; }
        & Grid { grid-size: 2; grid-columns: 13 1fr; grid-rows: 1; height: auto; grid-gutter: 0 1; }
        & Label { color: $text-muted; }
        & .section { color: $primary; text-style: bold; margin-top: 1; }
        & Input { border: none !important; height: 1; padding: 0 1 !important; }
        & Input:focus { background: $primary 28%; }
        & Select { height: 1; }
        & SelectCurrent { border: none !important; height: 1; padding: 0 1 !important; }
        & Select:focus > SelectCurrent { background: $primary 28%; }
        & #form-note { color: $text-muted; height: 2; dock: bottom; }
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
        Binding("pagedown", "section(1)", "next section", show=False, id="settings.next-section",
                tooltip="Next section"),
        Binding("pageup", "section(-1)", "previous section", show=False,
                id="settings.previous-section", tooltip="Previous section"),
    ]  # fmt: skip

    def __init__(self, state: UiState, default_size: int | None, field: str = "steps") -> None:
        """`field` is where the cursor is at first."""
        super().__init__()
        self._field = field
        self._state = state
        self._default_size = default_size

    def compose(self) -> ComposeResult:
        """Sections, a field a row."""
        with Framed("PgDn next section · Enter applies · Escape cancels") as box:
            box.border_title = "Settings of the next picture"
            with _Sections():
                for title, fields in self._sections().items():
                    yield Label(title, classes="section")
                    with Grid():
                        for name, field in fields.items():
                            yield Label(name)
                            yield field
            yield Static("", id="form-note", markup=False)

    def _sections(self) -> Mapping[str, Mapping[str, Widget]]:
        """Fields by their labels, by section."""
        state, trained = self._state, self._default_size
        size = f"{state.width}x{state.height}" if state.width and state.height else "auto"
        own = f"auto ({trained}x{trained})" if trained else "auto"
        text = self._text
        return {
            "Picture": {
                "steps": text("steps"),
                "sampler": _choice(SAMPLERS, state.sampler, "sampler"),
                "schedule": _choice(SCHEDULES, state.schedule, "schedule"),
                "CFG scale": text("cfg_scale"),
                "seed": text("seed"),
                "size": Input(size, id="size", placeholder=own, compact=True),
                "batch": text("batch"),
                "clip skip": text("clip_skip"),
                "no negative": _choice(
                    EMPTY_NEGATIVES, state.empty_negative, "empty_negative", _EMPTY_NEGATIVE_WORDS
                ),
                "noise": _choice(NOISES, state.noise, "noise", _NOISE_WORDS),
            },
            "Sizes, styles, variation": {
                "SDXL's sizes": self._sizes(),
                "styles": text("styles"),
                "variation": text("variation_strength"),
                "its seed": text("variation_seed"),
            },
            "Regions": {"ratios": text("region_ratios"), "masks": text("region_masks")},
            "Begin with a picture": {
                "picture": text("start_picture"),
                "denoising": text("denoising"),
                "other sizes": _choice(RESIZES, state.resize, "resize", _RESIZE_WORDS),
                "mask": text("mask"),
                "its blur": text("mask_blur"),
            },
            "Second pass (hires fix)": {
                "times larger": text("hires_scale"),
                "denoising": text("hires_denoising"),
                "upscaler": _choice(UPSCALERS, state.hires_upscaler, "hires_upscaler"),
                "steps": text("hires_steps"),
                "prompt": text("hires_prompt"),
            },
        }

    def _text(self, name: str) -> Input:
        value = getattr(self._state, name)
        shown = plain_number(value) if isinstance(value, float) else str(value)
        return Input(shown, id=name, compact=True)

    def _sizes(self) -> Choice:
        """Sizes to choose from, which go into the field of the size."""
        names = {shape: word for word, shape in WORDS.items()}
        shown = []
        for shape in SHAPES:
            width, height = shape_size(shape, self._default_size or TRAINED)
            shown.append((f"{width}x{height}  {names.get(shape, '')} {shape}", f"{width}x{height}"))
        return Choice(shown, prompt="choose one", compact=True, id="sizes")

    def on_mount(self) -> None:
        """Fields stand still."""
        for field in self.query(Input):
            field.cursor_blink = False
        # At once: keys may be on their way already.
        self.set_focus(self.query_one(f"#{self._field}"))

    @on(Select.Changed, "#sizes")
    def take_size(self, message: Select.Changed) -> None:
        """Put the chosen size into its field."""
        if message.value is not Select.NULL:
            self.query_one("#size", Input).value = str(message.value)

    @on(DescendantFocus)
    def show_hint(self, event: DescendantFocus) -> None:
        """Say what the focused field is about."""
        self._note(_HINTS.get(event.widget.id or "", ""))

    def action_section(self, step: int) -> None:
        """Go to the first field of the next or previous section."""
        grids = list(self.query(Grid))
        at = next((n for n, grid in enumerate(grids) if grid.has_focus_within), 0)
        grid = grids[max(0, min(at + step, len(grids) - 1))]
        grid.query("Input, Select").first(Widget).focus()

    @on(Input.Submitted)
    def action_apply(self) -> None:
        """Check the fields and hand the settings back."""
        texts = {field.id or "": field.value for field in self.query(Input)}
        texts |= {choice.id or "": str(choice.value) for choice in self.query(Select)}
        try:
            state = read_form(texts, self._state, self._default_size)
        except EngineError as error:
            self._note(str(error), is_trouble=True)
        else:
            self.dismiss(state)

    def _note(self, words: str, is_trouble: bool = False) -> None:
        note = self.query_one("#form-note", Static)
        note.set_class(is_trouble, "-trouble")
        note.update(Content(words))


def _choice(
    names: Sequence[str], value: str, id: str, words: Mapping[str, str] | None = None
) -> Choice:
    """One of some names; `words` say what they mean, where that is shown instead."""
    chosen = value if value in names else names[0]
    shown = [((words or {}).get(name, name), name) for name in names]
    return Choice(shown, value=chosen, allow_blank=False, compact=True, id=id)
