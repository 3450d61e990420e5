"""The stack pane: its members with their strengths, live or on their way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from engine.protocol.refs import LoraRef
from engine.protocol.stack_edits import Part
from engine.protocol.view import EngineView
from tui_loraswitch.control.stack_view import StackView
from tui_loraswitch.look.theme import FAINT
from tui_loraswitch.panes.base import Pane
from tui_loraswitch.panes.stack_row import member_row

_NEXT_PART: dict[Part, Part] = {
    "both": "unet",
    "unet": "text_encoder",
    "text_encoder": "text_encoder_2",
    "text_encoder_2": "both",
}
_PART_WORDS: dict[Part, str] = {
    "both": "+ − both",
    "unet": "+ − UNet only",
    "text_encoder": "+ − text encoders only",
    "text_encoder_2": "+ − second text encoder only",
}


class StackList(ScrollView, can_focus=True):
    """The members of the wanted stack, one a line."""

    DEFAULT_CSS = """
    StackList {
        height: 1fr;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        background: $background;
        & > .stack-list--cursor { background: $background; }
        &:focus > .stack-list--cursor { background: $primary 28%; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"stack-list--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "next_part", "UNet/TE", id="stack.part",
                tooltip="What + and − change: both, UNet, text encoders, second"),
        Binding("w", "weigh", "blocks", id="stack.blocks",
                tooltip="Block weights: how strongly it counts in each block"),
        Binding("space,delete", "remove", "remove", id="stack.remove",
                tooltip="Take the highlighted LoRA out of the stack"),
        Binding("down,j", "move(1)", "down", show=False, id="stack.down", tooltip="Next member"),
        Binding("up,k", "move(-1)", "up", show=False, id="stack.up", tooltip="Previous member"),
    ]  # fmt: skip

    class Removed(Message):
        """A member is to leave the stack, or what the prompt's tags add to it."""

        def __init__(self, ref: LoraRef, is_tagged: bool) -> None:
            super().__init__()
            self.ref, self.is_tagged = ref, is_tagged

    class Weighing(Message):
        """The block weights of a member are to be edited."""

        def __init__(self, ref: LoraRef, is_tagged: bool) -> None:
            super().__init__()
            self.ref, self.is_tagged = ref, is_tagged

    def __init__(self, presets: Mapping[str, str], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._presets = presets
        self._view = StackView()
        self._cursor = 0
        self.part: Part = "both"

    @property
    def highlighted(self) -> LoraRef | None:
        """The member under the cursor."""
        wanted = self._view.wanted
        return wanted[self._cursor] if self._cursor < len(wanted) else None

    @property
    def is_on_tagged(self) -> bool:
        """Whether that member is there because the prompt names it."""
        return self.highlighted is not None and self._view.is_tagged(self._cursor)

    def show(self, view: StackView) -> None:
        """Show another stack."""
        before = self._lines
        self._view = view
        cursor = max(0, min(self._cursor, len(view.wanted) - 1))
        is_moved, self._cursor = cursor != self._cursor, cursor
        lines = self._lines
        self.virtual_size = Size(self.scrollable_content_region.width, len(lines))
        if is_moved or len(lines) != len(before):
            self.refresh()
        else:
            for number, (one, other) in enumerate(zip(before, lines, strict=True)):
                if not one.is_same(other):
                    self.refresh_line(number)

    def render_line(self, y: int) -> Strip:
        """One line."""
        width = self.scrollable_content_region.width
        number, lines = y + self.scroll_offset.y, self._lines
        if number >= len(lines):
            return Strip.blank(width, self.rich_style)
        at_cursor = number == self._cursor and bool(self._view.wanted)
        style = self.get_visual_style("stack-list--cursor") if at_cursor else self.visual_style
        line = lines[number].truncate(width, ellipsis=True, pad=True)
        return Strip(line.render_segments(style), width)

    @property
    def _lines(self) -> list[Content]:
        view = self._view
        if not view.wanted:
            words = "base model; Space stacks a LoRA" if not view.live else "going back to base …"
            return [Content.styled(words, FAINT)]
        width = self.scrollable_content_region.width
        return [
            member_row(ref, view, self._presets, width, view.is_tagged(number))
            for number, ref in enumerate(view.wanted)
        ]

    def action_next_part(self) -> None:
        """Change what + and − act on."""
        self.part = _NEXT_PART[self.part]
        self.post_message(StackPane.PartChosen(self.part))

    def action_remove(self) -> None:
        """Take the member under the cursor out."""
        if self.highlighted is not None:
            self.post_message(self.Removed(self.highlighted, self.is_on_tagged))

    def action_weigh(self) -> None:
        """Edit the block weights of the member under the cursor."""
        if self.highlighted is not None:
            self.post_message(self.Weighing(self.highlighted, self.is_on_tagged))

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self._cursor = max(0, min(self._cursor + rows, len(self._view.wanted) - 1))
        self.scroll_to(y=max(0, self._cursor - self.size.height + 1), animate=False)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """A click highlights a member."""
        self.action_move(event.y + self.scroll_offset.y - self._cursor)


class StackPane(Pane):
    """What is live and what is wanted."""

    TITLE = "Stack"

    def __init__(self, presets: Mapping[str, str], *, id: str) -> None:
        super().__init__(id=id)
        self._presets = presets
        self._shown = StackView()
        self.lines_wanted = 1

    class PartChosen(Message):
        """The keys + and − act on another part now."""

        def __init__(self, part: Part) -> None:
            super().__init__()
            self.part = part

    def compose(self) -> list[Widget]:
        """Just the list."""
        return [StackList(self._presets, id="stack-list")]

    def focus_target(self) -> Widget:
        """The list."""
        return self.query_one(StackList)

    @property
    def part(self) -> Part:
        """What + and − act on."""
        return self.query_one(StackList).part

    @property
    def highlighted(self) -> LoraRef | None:
        """The member under the cursor, while the pane has the focus."""
        stack = self.query_one(StackList)
        return stack.highlighted if stack.has_focus else None

    @property
    def is_on_tagged(self) -> bool:
        """Whether that member is there because the prompt names it."""
        return self.query_one(StackList).is_on_tagged and self.highlighted is not None

    def show_view(self, view: EngineView) -> None:
        """Show the stack."""
        self._show(StackView.of(view))

    def _show(self, view: StackView) -> None:
        if view == self._shown:
            return
        self._shown = view
        self.query_one(StackList).show(view)
        self.want_lines(max(1, len(view.wanted)))
        count = f"Stack {len(view.wanted)}" if view.wanted else "Stack"
        self.show_title(Content(count))

    def on_stack_pane_part_chosen(self, message: PartChosen) -> None:
        """Say what + and − act on."""
        self.show_subtitle(_PART_WORDS[message.part])
