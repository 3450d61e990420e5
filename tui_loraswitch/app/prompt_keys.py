"""Keys that write the prompt."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING

from msgspec import structs
from textual import on

from engine.library.entry import LibraryEntry
from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.prompt_editing import edit_prompts
from tui_loraswitch.app.prompts_before import search_prompts, turn_prompt
from tui_loraswitch.app.state_undo import note_state
from tui_loraswitch.panes.messages import PromptBegun, PromptChanged, PromptLeft, PromptTurned

if TYPE_CHECKING:
    from tui_loraswitch.control.prompt_history import PromptHistory


class PromptKeys(AppBase):
    """The prompt, the negative prompt, trigger words."""

    _is_noted = False
    """Whether what is being written can be taken back already."""

    @on(PromptBegun)
    def _begin_prompt(self) -> None:
        self._is_noted = False

    @on(PromptChanged)
    def _take_prompt(self, message: PromptChanged) -> None:
        before = self.control.state
        self.control.state = structs.replace(
            before, prompt=message.prompt, negative_prompt=message.negative_prompt
        )
        # All that is written at a time is taken back at once.
        if not self._is_noted and self.control.state != before:
            self._is_noted = True
            note_state(self, "writing the prompt", before)

    @cached_property
    def _prompt_history(self) -> PromptHistory:
        from tui_loraswitch.control.prompt_history import PromptHistory

        return PromptHistory()

    @on(PromptTurned)
    def _turn_prompt(self, message: PromptTurned) -> None:
        turn_prompt(self, self._prompt_history, message.by)

    def action_search_prompts(self) -> None:
        """Find a prompt of before."""
        search_prompts(self)

    @on(PromptLeft)
    def _leave_prompt(self) -> None:
        self.control.share_draft()
        self.main.show_list()

    def action_insert_trigger(self) -> None:
        """Put the highlighted LoRA's trigger words into the prompt."""
        entry = self.main.library.highlighted

        def insert(entry: LibraryEntry) -> None:
            before = self.control.state
            insertion = self.control.insert_trigger(entry)
            note_state(self, "the trigger words", before)
            self.control.share_draft()
            self.show_state()
            self.main.show_pane("prompt", take_focus=False)
            self.main.prompt.show_insertion(entry.name, insertion)

        if entry is not None:
            self.attempt(partial(insert, entry))

    def action_edit_prompt(self, negative: bool = False) -> None:
        """Write the prompt or the negative prompt."""
        self.main.edit_prompt(negative)

    def action_edit_large(self) -> None:
        """Write both prompts on the whole screen."""
        edit_prompts(self)
