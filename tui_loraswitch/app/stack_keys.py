"""Keys that change the stack."""

from __future__ import annotations

from functools import partial

from textual import on

from engine.protocol.refs import LoraRef
from tui_loraswitch.app.app_base import AppBase
from tui_loraswitch.app.dialogs import type_strength, weigh_blocks
from tui_loraswitch.panes.lora_list import LoraList
from tui_loraswitch.panes.stack import StackList


class StackKeys(AppBase):
    """What is chosen in the list and in the stack, and the strengths."""

    @on(LoraList.Activated)
    def _choose(self, message: LoraList.Activated) -> None:
        self.attempt(partial(self.control.choose, message.entry))

    @on(LoraList.Toggled)
    def _toggle(self, message: LoraList.Toggled) -> None:
        self.attempt(partial(self.control.toggle, message.entry))

    @on(StackList.Removed)
    def _remove(self, message: StackList.Removed) -> None:
        self.attempt(partial(self.control.remove, message.ref, message.is_tagged))

    @on(StackList.Weighing)
    def _weigh(self, message: StackList.Weighing) -> None:
        weigh_blocks(self, message.ref, message.is_tagged)

    def action_base(self) -> None:
        """Go back to the base model."""
        self.attempt(self.control.base)

    def action_strength(self, delta: float) -> None:
        """Change the strength of the highlighted member of the stack."""
        part = self.main.stack.part
        self.attempt(lambda: self.control.adjust(delta, self._member(), part))

    def action_type_strength(self) -> None:
        """Type the strength of the highlighted member of the stack."""
        self.attempt(lambda: type_strength(self, self._member()))

    def _member(self) -> LoraRef:
        """The member of the stack that is meant by where the cursor is."""
        return self.control.member(*self.main.highlighted_member)
