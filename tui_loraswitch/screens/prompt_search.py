"""A dialog to find a prompt of before by its words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from engine.store.prompts import StoredPrompt
from engine.words.clean import clean_line
from tui_loraswitch.control.prompt_history import matching
from tui_loraswitch.screens.framed import Framed
from tui_loraswitch.screens.list_dialog import ListDialog

_MOST_SHOWN = 200


class PromptSearch(ListDialog[StoredPrompt | None]):
    """Gives back the chosen prompt, None for none."""

    DEFAULT_CSS = """
    PromptSearch OptionList { max-height: 60vh; min-height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "close", id="prompts.close", tooltip="Change nothing"),
        Binding("down,ctrl+n", "move(1)", "down", id="prompts.down", show=False, priority=True,
                tooltip="An older one"),
        Binding("up,ctrl+p", "move(-1)", "up", id="prompts.up", show=False, priority=True,
                tooltip="A newer one"),
        Binding("enter", "choose", "take", id="prompts.take", priority=True,
                tooltip="Take this prompt, with its negative one"),
    ]  # fmt: skip

    def __init__(self, prompts: Sequence[StoredPrompt]) -> None:
        super().__init__()
        self._prompts = list(prompts)
        self._found = self._prompts[:_MOST_SHOWN]

    def compose(self) -> ComposeResult:
        """What is searched, and what is found."""
        with Framed("Enter takes it · Escape closes") as box:
            box.border_title = "Prompts of before"
            yield Input(placeholder="words")
            yield OptionList(markup=False)

    def on_mount(self) -> None:
        """All of them, newest first."""
        self.query_one(Input).focus()
        self._show()

    @on(Input.Changed)
    def narrow(self, message: Input.Changed) -> None:
        """Those that have the words."""
        self._found = matching(self._prompts, message.value)[:_MOST_SHOWN]
        self._show()

    @on(OptionList.OptionSelected)
    def click(self, message: OptionList.OptionSelected) -> None:
        """Take what was clicked."""
        self.dismiss(self._found[message.option_index])

    def action_move(self, by: int) -> None:
        """Go down or up the list, from the line that is typed in."""
        options = self.query_one(OptionList)
        if options.option_count:
            place = (options.highlighted or 0) + by
            options.highlighted = max(0, min(options.option_count - 1, place))

    def action_choose(self) -> None:
        """Take the highlighted one."""
        place = self.query_one(OptionList).highlighted
        if place is not None and place < len(self._found):
            self.dismiss(self._found[place])

    def _show(self) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(Option(_line(prompt)) for prompt in self._found)
        if self._found:
            options.highlighted = 0


def _line(prompt: StoredPrompt) -> Content:
    negative = f" − {prompt.negative_prompt}" if prompt.negative_prompt.strip() else ""
    line = Content(clean_line(f"{prompt.prompt}{negative}", 300))
    return line.truncate(70, ellipsis=True)
