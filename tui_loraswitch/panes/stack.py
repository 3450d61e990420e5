"""The stack pane: its members with their strengths, live or on their way."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from engine.library.text import clean_line
from engine.refs import LoraRef
from tui_loraswitch.panes.base import Pane
from tui_loraswitch.stack_control import Part, StackView
from tui_loraswitch.theme import FAINT

_NEXT_PART: dict[Part, Part] = {"both": "unet", "unet": "text_encoder", "text_encoder": "both"}
_PART_WORDS = {
    "both": "+ − both",
    "unet": "+ − UNet only",
    "text_encoder": "+ − text encoders only",
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
                tooltip="Let + and − change both, the UNet or the text encoders"),
        Binding("space,delete", "remove", "remove", id="stack.remove",
                tooltip="Take the highlighted LoRA out of the stack"),
        Binding("down,j", "move(1)", "down", show=False, id="stack.down", tooltip="Next member"),
        Binding("up,k", "move(-1)", "up", show=False, id="stack.up", tooltip="Previous member"),
    ]  # fmt: skip

    class Removed(Message):
        """A member is to leave the stack."""

        def __init__(self, ref: LoraRef) -> None:
            super().__init__()
            self.ref = ref

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._view = StackView()
        self._cursor = 0
        self.part: Part = "both"

    @property
    def highlighted(self) -> LoraRef | None:
        """The member under the cursor."""
        wanted = self._view.wanted
        return wanted[self._cursor] if self._cursor < len(wanted) else None

    def show(self, view: StackView) -> None:
        """Show another stack."""
        self._view = view
        self._cursor = max(0, min(self._cursor, len(view.wanted) - 1))
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._lines))
        self.refresh()

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
        return [_member(number, ref, view, width) for number, ref in enumerate(view.wanted, 1)]

    def action_next_part(self) -> None:
        """Change what + and − act on."""
        self.part = _NEXT_PART[self.part]
        self.post_message(StackPane.PartChosen(self.part))

    def action_remove(self) -> None:
        """Take the member under the cursor out."""
        if self.highlighted is not None:
            self.post_message(self.Removed(self.highlighted))

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

    class PartChosen(Message):
        """The keys + and − act on another part now."""

        def __init__(self, part: Part) -> None:
            super().__init__()
            self.part = part

    def compose(self) -> list[Widget]:
        """Just the list."""
        return [StackList(id="stack-list")]

    def focus_target(self) -> Widget:
        """The list."""
        return self.query_one(StackList)

    @property
    def part(self) -> Part:
        """What + and − act on."""
        return self.query_one(StackList).part

    @property
    def highlighted(self) -> Path | None:
        """The member under the cursor, while the pane has the focus."""
        stack = self.query_one(StackList)
        return Path(stack.highlighted.path) if stack.has_focus and stack.highlighted else None

    def show_stack(self, view: StackView) -> None:
        """Show the stack."""
        self.query_one(StackList).show(view)
        count = f"Stack {len(view.wanted)}" if view.wanted else "Stack"
        self.show_title(Content(f"{count} · pending" if view.pending else count))

    def on_stack_pane_part_chosen(self, message: PartChosen) -> None:
        """Say what + and − act on."""
        self.show_subtitle(_PART_WORDS[message.part])


def _member(number: int, ref: LoraRef, view: StackView, width: int) -> Content:
    is_live = ref in view.live
    sign, style = ("●", "$text-success") if is_live else ("◌", "$text-warning")
    encoders = f"{ref.text_encoder:.2f}"
    if ref.text_encoder_2_strength != ref.text_encoder:
        encoders += f"/{ref.text_encoder_2_strength:.2f}"
    numbers = Content.assemble(("unet ", FAINT), f"{ref.unet:5.2f}", ("  te ", FAINT), encoders)
    name = Content.assemble((f"{sign} ", style), clean_line(ref.name, 200))
    room = max(4, width - numbers.cell_length - 1)
    return Content.assemble(name.truncate(room, ellipsis=True, pad=True), " ", numbers)
