"""The form of a sweep: which LoRAs, at which strengths, with which seeds, and more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Select, Static

from engine.errors import EngineError
from engine.protocol.text import plural
from engine.words.clean import clean_line
from tui_loraswitch.screens.choice import Choice
from tui_loraswitch.screens.framed import Framed

Count = Callable[[str, Mapping[str, str]], int]
"""Counts the cells of the choice and the texts of the form; raises `EngineError` for wrong ones."""


_ON_RAY = "ray"
_PLACES = [
    ("this engine", "here"),
    ("Ray: its cluster, or all GPUs or cores here", _ON_RAY),
]


@dataclass(frozen=True)
class SweepFields:
    """What was chosen and typed."""

    loras: str
    texts: dict[str, str]
    on_ray: bool


class SweepForm(ModalScreen[SweepFields | None]):
    """Gives which LoRAs are chosen and the texts of the axes, or None when left by Escape.

    `choices` are words for LoRAs, and how many these are.
    """

    AUTO_FOCUS = "#strength"
    DEFAULT_CSS = """
    SweepForm {
        align: center middle;
        & > Vertical {
            width: 66; max-width: 100%; height: auto; max-height: 100%; padding: 0 2;
            overflow-y: auto; scrollbar-size-vertical: 1; background: $background;
            border: round $border; border-title-color: $primary; border-title-style: bold;
            border-subtitle-color: $text-muted;
        }
        & Grid { grid-size: 2; grid-columns: 11 1fr; grid-rows: 1; height: auto; grid-gutter: 0 1; }
        & Label { color: $text-muted; }
        & Input { border: none !important; height: 1; padding: 0 1 !important; }
        & Input:focus { background: $primary 28%; }
        & Select { height: 1; }
        & SelectCurrent { border: none !important; height: 1; padding: 0 1 !important; }
        & Select:focus > SelectCurrent { background: $primary 28%; }
        & #sweep-note { color: $text-muted; height: 3; padding-top: 1; }
        & #sweep-note.-trouble { color: $text-error; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "close", id="sweep-form.close",
                tooltip="Draw nothing"),
        Binding("ctrl+s", "start", "start", id="sweep-form.start", priority=True,
                tooltip="Draw the cells"),
        Binding("down", "app.focus_next", "next", show=False, id="sweep-form.next",
                tooltip="Next field"),
        Binding("up", "app.focus_previous", "previous", show=False, id="sweep-form.previous",
                tooltip="Previous field"),
    ]  # fmt: skip

    def __init__(
        self, choices: Mapping[str, int], seed: int, count: Count, *, has_ray: bool
    ) -> None:
        super().__init__()
        self._has_ray = has_ray
        self._choices = choices
        self._seed = seed
        self._count = count

    def compose(self) -> ComposeResult:
        """A field a row."""
        names = [
            (f"{words} ({count:,})" if count else words, words)
            for words, count in self._choices.items()
        ]
        with Framed("Tab next · Enter or ^s draws · Escape cancels") as box:
            box.border_title = "Sweep"
            with Grid():
                yield Label("LoRAs")
                yield Choice(names, allow_blank=False, compact=True, id="loras")
                yield Label("strengths")
                yield Input("0.4, 0.8, 1.2", id="strength", compact=True)
                yield Label("seeds")
                yield Input(str(self._seed), id="seed", compact=True)
                yield Label("more axes")
                yield Input(id="more", compact=True, placeholder="steps = [8, 20]; cfg = [4, 7]")
                if self._has_ray:
                    yield Label("drawn by")
                    yield Choice(_PLACES, allow_blank=False, compact=True, id="place")
            yield Static(id="sweep-note", markup=False)

    def on_mount(self) -> None:
        """Fields stand still."""
        for field in self.query(Input):
            field.cursor_blink = False
        self.follow_fields()

    @on(Input.Changed)
    @on(Select.Changed)
    def follow_fields(self) -> None:
        """Say how many cells these are, or what is wrong."""
        if not self.is_mounted:
            return
        try:
            count = self._count(self._fields.loras, self._fields.texts)
        except EngineError as error:
            self._say(str(error), is_trouble=True)
        else:
            self._say(f"{plural(count, 'cell')}, with the prompt and settings of now.")

    @on(Input.Submitted)
    def action_start(self) -> None:
        """Check the fields and hand them back."""
        try:
            self._count(self._fields.loras, self._fields.texts)
        except EngineError as error:
            self._say(str(error), is_trouble=True)
        else:
            self.dismiss(self._fields)

    @property
    def _fields(self) -> SweepFields:
        texts = {field.id or "": field.value for field in self.query(Input)}
        chosen = {field.id: str(field.value) for field in self.query(Select)}
        return SweepFields(chosen["loras"], texts, chosen.get("place") == _ON_RAY)

    def _say(self, words: str, is_trouble: bool = False) -> None:
        note = self.query_one("#sweep-note", Static)
        note.set_class(is_trouble, "-trouble")
        note.update(Content(clean_line(words, 240)))
