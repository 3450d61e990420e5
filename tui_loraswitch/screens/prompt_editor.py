"""The prompt editor: prompt and negative prompt on the whole screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static, TextArea
from textual.widgets.option_list import Option

from engine.words.chunk_places import ROOM, Chunk, chunk_places
from tui_loraswitch.control.prompt_completion import Suggestion
from tui_loraswitch.control.prompt_faults import Fault, prompt_faults
from tui_loraswitch.look.theme import MUTED
from tui_loraswitch.screens.external_editor import edit_outside
from tui_loraswitch.screens.prompt_text import PromptText


@dataclass(frozen=True)
class Prompts:
    """What is edited, and what comes back."""

    prompt: str
    negative_prompt: str
    draws: bool = False
    """A picture is to be drawn with them at once."""


class PromptEditor(ModalScreen[Prompts]):
    """Edits both prompts; leaving keeps them, as undo is there for the rest.

    `why_unknown` says what is wrong with a LoRA's name, or ""; `suggest` completes what stands
    before the cursor.
    """

    DEFAULT_CSS = """
    PromptEditor {
        background: $background;
        & > #editor-prompt { height: 3fr; }
        & > #editor-negative { height: 1fr; min-height: 3; }
        & > #editor-suggestions {
            height: auto; max-height: 6; border: none; padding: 0 1; background: $panel;
            display: none;
        }
        & > Static { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
        & > #editor-keys { color: $text-muted; }
    }
    """
    AUTO_FOCUS = "#editor-prompt"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "done", id="editor.done", priority=True,
                tooltip="Keep the prompts and leave; or close the suggestions"),
        Binding("ctrl+s", "done", "done", id="editor.save", priority=True,
                tooltip="Keep the prompts and leave"),
        Binding("ctrl+g", "draw", "draw", id="editor.draw", priority=True,
                tooltip="Keep the prompts and draw a picture"),
        Binding("ctrl+o", "outside", "$EDITOR", id="editor.outside", priority=True,
                tooltip="Edit the prompt in $VISUAL or $EDITOR"),
        Binding("tab", "tab", "take, or other text", id="editor.tab", priority=True,
                tooltip="Take the suggestion; or go to the other text"),
        Binding("ctrl+n,down", "choose(1)", "next", show=False, id="editor.next", priority=True,
                tooltip="Next suggestion"),
        Binding("ctrl+p,up", "choose(-1)", "previous", show=False, id="editor.previous",
                priority=True, tooltip="Previous suggestion"),
    ]  # fmt: skip

    def __init__(
        self,
        prompts: Prompts,
        why_unknown: Callable[[str], str],
        suggest: Callable[[str], list[Suggestion]],
    ) -> None:
        super().__init__()
        self._prompts = prompts
        self._why_unknown = why_unknown
        self._suggest = suggest
        self._suggestions: list[Suggestion] = []
        self._closed_at = ""
        """Where suggestions were closed: they stay away until something else is written."""

    def compose(self) -> ComposeResult:
        """Both texts, suggestions, what is to be said of the text, keys."""
        for id, title, text in (
            ("editor-prompt", "Prompt", self._prompts.prompt),
            ("editor-negative", "Negative prompt", self._prompts.negative_prompt),
        ):
            area = PromptText(text, id=id)
            area.border_title = title
            yield area
        yield OptionList(id="editor-suggestions")
        yield Static(id="editor-note", markup=False)
        yield Static(
            "^s or Esc done  ^g draw  ^↑ ^↓ weight  ^z undo  Tab other text  ^o $EDITOR",
            id="editor-keys", markup=False,
        )  # fmt: skip

    def on_mount(self) -> None:
        """Begin behind the last word."""
        suggestions = self.query_one(OptionList)
        suggestions.can_focus = False
        for area in reversed(self.query(PromptText)):
            area.move_cursor(area.document.end)
            self._examine(area)

    @on(TextArea.Changed)
    def follow_text(self, message: TextArea.Changed) -> None:
        """Count and look for faults anew; suggest what the word may become."""
        message.stop()
        if isinstance(message.text_area, PromptText):
            self._examine(message.text_area)
            if message.text_area.has_focus:
                self._suggest_now()

    def on_descendant_focus(self) -> None:
        """Say what is to be said of the text that has the focus now."""
        self._examine(self._text)

    @on(PromptText.Moved)
    def follow_cursor(self) -> None:
        """Suggestions belong to the word before the cursor."""
        if self._suggestions:
            self._suggest_now()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Arrows choose only where something is suggested."""
        return action != "choose" or bool(self._suggestions)

    def action_choose(self, step: int) -> None:
        """Go to the next or previous suggestion."""
        shown = self.query_one(OptionList)
        here = shown.highlighted or 0
        shown.highlighted = (here + step) % len(self._suggestions)

    def action_tab(self) -> None:
        """Take the suggestion, or go to the other text."""
        if not self._suggestions:
            self.focus_next(PromptText)
            return
        suggestion = self._suggestions[self.query_one(OptionList).highlighted or 0]
        self._text.take(suggestion)
        self._close_suggestions()

    def action_leave(self) -> None:
        """Close the suggestions, or the editor."""
        if self._suggestions:
            self._close_suggestions()
        else:
            self.action_done()

    def action_done(self, draws: bool = False) -> None:
        """Hand both texts back."""
        prompt, negative = (area.text.strip() for area in self.query(PromptText))
        self.dismiss(Prompts(prompt, negative, draws))

    def action_draw(self) -> None:
        """Hand both texts back, to be drawn."""
        self.action_done(draws=True)

    def action_outside(self) -> None:
        """Edit the text in the user's own editor."""
        area = self._text
        changed = edit_outside(self.app, area.text)
        if isinstance(changed, str):
            area.replace(changed, area.document.start, area.document.end)
        else:
            self.notify(changed.words, severity="warning", markup=False)

    @property
    def _text(self) -> PromptText:
        """The text that has the focus."""
        texts = list(self.query(PromptText))
        return next((area for area in texts if area.has_focus), texts[0])

    def _examine(self, area: PromptText) -> None:
        chunks = chunk_places(area.text)
        faults = prompt_faults(area.text, self._why_unknown)
        area.show_marks(faults, chunks)
        area.border_subtitle = Content(count_words(chunks))
        self.query_one("#editor-note", Static).update(_note(faults, chunks))

    def _suggest_now(self) -> None:
        before = self._text.before_cursor
        found = self._suggest(before) if before != self._closed_at else []
        if found == self._suggestions:
            return
        self._suggestions = found
        shown = self.query_one(OptionList)
        shown.clear_options()
        shown.add_options([Option(Content(suggestion.words)) for suggestion in found])
        shown.display = bool(found)
        if found:
            shown.highlighted = 0

    def _close_suggestions(self) -> None:
        self._closed_at = self._text.before_cursor
        self._suggestions = []
        self.query_one(OptionList).display = False


def count_words(chunks: list[Chunk]) -> str:
    """The tokens of each chunk, of the room it has."""
    counts = " + ".join(str(chunk.tokens) for chunk in chunks[:6])
    more = " + …" if len(chunks) > 6 else ""
    number = f" · {len(chunks)} chunks" if len(chunks) > 1 else ""
    return f"{counts}{more}/{ROOM} tokens{number}"


def _note(faults: list[Fault], chunks: list[Chunk]) -> Content:
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return Content.styled(f"! {faults[0].words}{more}", "$text-error")
    if len(chunks) > 1:
        words = f"Each chunk of {ROOM} tokens is read by itself; BREAK begins one where you like."
        return Content.styled(words, MUTED)
    return Content()
