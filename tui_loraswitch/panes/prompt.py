"""The prompt pane: prompt, negative prompt, and the settings of the next picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static, TextArea

from engine.words.clean import clean_line
from tui_loraswitch.config.ui_state import UiState
from tui_loraswitch.panes.base import Pane
from tui_loraswitch.panes.messages import PromptBegun, PromptChanged, PromptLeft, PromptTurned
from tui_loraswitch.panes.weighed_text import WeighedText

if TYPE_CHECKING:
    from tui_loraswitch.control.trigger_cycle import Insertion


class PromptField(WeighedText):
    """A text that wraps; Enter is done with it, ctrl+g draws at once."""

    DEFAULT_CSS = """
    PromptField, PromptField:focus {
        border: none;
        padding: 0;
        background: $background;
        scrollbar-size-vertical: 1;
        & .text-area--placeholder { color: $text-disabled; }
    }
    PromptField:focus { background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,escape", "leave", "done", id="prompt.done", key_display="enter",
                tooltip="Leave the text; keys are commands again", priority=True),
        Binding("ctrl+g", "app.generate", "generate", id="prompt.generate", key_display="^g",
                tooltip="Generate without leaving the text", priority=True),
        Binding("ctrl+e", "app.edit_large", "editor", id="prompt.editor", key_display="^e",
                tooltip="Write on the whole screen", priority=True),
        Binding("ctrl+r", "app.search_prompts", "prompts of before", id="prompt.search",
                key_display="^r", show=False,
                tooltip="Find a prompt of before by its words", priority=True),
    ]  # fmt: skip

    def __init__(self, placeholder: str, *, id: str) -> None:
        super().__init__(
            id=id,
            soft_wrap=True,
            show_line_numbers=False,
            compact=True,
            highlight_cursor_line=False,
            placeholder=Content(placeholder),
        )
        self.cursor_blink = False

    def on_focus(self) -> None:
        """What is written from now on is one change."""
        self.post_message(PromptBegun())

    async def _on_paste(self, event: events.Paste) -> None:
        """Put pasted lines in as one: lines of its own are the editor's."""
        event.stop()
        event.prevent_default()
        self.replace(" ".join(event.text.splitlines()), *self.selection)

    def action_leave(self) -> None:
        """Go back to where keys are commands."""
        self.post_message(PromptLeft())

    def action_cursor_up(self, select: bool = False) -> None:
        """A line up; from the first one, to the prompt before."""
        if not select and self.navigator.is_first_wrapped_line(self.cursor_location):
            self.post_message(PromptTurned(1))
        else:
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        """A line down; from the last one, to the prompt after."""
        if not select and self.navigator.is_last_wrapped_line(self.cursor_location):
            self.post_message(PromptTurned(-1))
        else:
            super().action_cursor_down(select)


PROMPT_HINT = "p writes the prompt"


class PromptPane(Pane, can_focus=True):
    """What the next picture shall show, and how it is drawn."""

    TITLE = "Prompt"
    DEFAULT_CSS = """
    PromptPane {
        & > #prompt-text { height: 1fr; }
        & > #negative-row { height: auto; max-height: 4; }
        & > #negative-row > #negative-sign { width: 2; color: $text-error; }
        & > #negative-row > #negative-text { height: auto; max-height: 4; color: $text-muted; }
        & > #settings-line { color: $text-muted; height: auto; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "app.edit_prompt", "write", id="prompt.write",
                tooltip="Write the prompt"),
    ]  # fmt: skip

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._inserted = ""
        """The prompt as the last trigger words have left it."""
        self._settings = Content()
        """The settings as they are shown."""

    def compose(self) -> ComposeResult:
        """Prompt, negative prompt, settings."""
        yield PromptField(PROMPT_HINT, id="prompt-text")
        with Horizontal(id="negative-row"):
            yield Static("− ", id="negative-sign")
            yield PromptField("n writes what to avoid", id="negative-text")
        yield Static(id="settings-line")

    @property
    def is_edited(self) -> bool:
        """Whether somebody is typing in it."""
        return any(field.has_focus for field in self.query(PromptField))

    def show_texts(self, prompt: str, negative_prompt: str, is_other: bool = False) -> None:
        """Show a prompt that was remembered or changed elsewhere, unless it is being typed.

        `is_other` says that what is being typed is another prompt, which was kept.
        """
        self._follow_prompt(prompt)
        for name, text in (("#prompt-text", prompt), ("#negative-text", negative_prompt)):
            field = self.query_one(name, PromptField)
            # A text being typed is ahead of what is known of it elsewhere.
            if field.text != text and (is_other or not field.has_focus):
                field.load_text(text)
                field.move_cursor(field.document.end)

    def show_insertion(self, name: str, insertion: Insertion) -> None:
        """Say which trigger words were put into the prompt, as long as they are its last change."""
        self._inserted = insertion.after
        number, count = insertion.number + 1, insertion.count
        more = f" {number} of {count} · i: the next" if count > 1 else ""
        self.show_subtitle(f"{clean_line(name, 30)}: trigger words{more}")

    def show_place(self, words: str, prompt: str) -> None:
        """Say which prompt of before is shown, as long as it is."""
        self._inserted = prompt
        self.show_subtitle(words)

    def _follow_prompt(self, prompt: str) -> None:
        if prompt != self._inserted:
            self.show_subtitle("")

    def show_settings(self, state: UiState, default_size: int | None) -> None:
        """Show the settings of the next picture; `default_size` None: no model says yet."""
        words = settings_words(state, default_size)
        if not words.is_same(self._settings):
            self._settings = words
            line = self.query_one("#settings-line", Static)
            # A new seed at each picture lays out nothing.
            is_as_high = len(words.wrap(line.size.width or 1)) == line.size.height
            line.update(words, layout=not is_as_high)

    def show_hint(self, vocabulary: str) -> None:
        """Say in the empty prompt what a model of few words knows; `""`: one of many words."""
        hint = f"{PROMPT_HINT}: {vocabulary}" if vocabulary else PROMPT_HINT
        self.query_one("#prompt-text", PromptField).placeholder = Content(hint)

    def edit(self, negative: bool = False) -> None:
        """Put the cursor into the prompt or the negative prompt."""
        self.query_one("#negative-text" if negative else "#prompt-text", PromptField).focus()

    def on_resize(self) -> None:
        """Ask for the room that the texts take at this width."""
        self.call_after_refresh(self._want_lines)

    def _want_lines(self) -> None:
        fields = (self.query_one(name, PromptField) for name in ("#prompt-text", "#negative-text"))
        texts = sum(field.wrapped_document.height for field in fields)
        self.want_lines(texts + self.query_one("#settings-line").size.height)

    @on(TextArea.Changed)
    def report_change(self, message: TextArea.Changed) -> None:
        """Tell what is written."""
        message.stop()
        self._want_lines()
        prompt, negative = (
            "\n".join(self.query_one(name, PromptField).text.splitlines())
            for name in ("#prompt-text", "#negative-text")
        )
        self._follow_prompt(prompt)
        self.post_message(PromptChanged(prompt, negative))


def settings_words(state: UiState, default_size: int | None) -> Content:
    """The settings in one line."""
    width, height = state.width or default_size, state.height or default_size
    seed = "random" if state.seed == -1 else str(state.seed)
    facts = [
        f"{state.steps} steps",
        state.sampler if state.schedule == "Automatic" else f"{state.sampler} {state.schedule}",
        f"CFG {state.cfg_scale:g}",
        f"seed {seed}",
        f"{width}×{height}" if width else "",
        f"batch {state.batch}" if state.batch > 1 else "",
        f"clip skip {state.clip_skip}" if state.clip_skip > 2 else "",
        f"{state.noise} noise" if state.noise != "CPU" else "",
        f"variation {state.variation_strength:g}" if state.variation_strength else "",
        f"styles {clean_line(state.styles, 40)}" if state.styles else "",
        _start_words(state),
        f"hires ×{state.hires_scale:g}" if state.hires_scale != 1 else "",
        "empty negative encoded" if state.empty_negative == "encoded" else "",
    ]
    return Content(" · ".join(fact for fact in facts if fact))


def _start_words(state: UiState) -> str:
    """The picture that is begun with, and how much of it is drawn."""
    if not state.start_picture:
        return ""
    masked = f" in {clean_line(Path(state.mask).name, 30)}" if state.mask else ""
    name = clean_line(Path(state.start_picture).name, 30)
    return f"from {name} {state.denoising:g}{masked}"
