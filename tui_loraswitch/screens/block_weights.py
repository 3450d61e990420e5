"""The block weights screen: how strongly one LoRA counts in each block of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from engine.block_weights import BlockWeights, block_numbers, parse_block_weights
from engine.errors import EngineError
from engine.protocol.refs import LoraRef
from engine.protocol.text import block_words
from engine.words.clean import clean_line
from tui_loraswitch.look.theme import MUTED
from tui_loraswitch.screens.framed import Framed
from tui_loraswitch.screens.list_dialog import ListDialog

_NAME_WIDTH = 14
_ROWS_FOR_HELP = 20
_HELP = (
    "or names such as IN04=0.5,MID=0; or 12 numbers: BASE, IN04 05 07 08, MID, OUT00 to 05; or 20: "
    "BASE, IN00 to 08, MID, OUT00 to 08"
)
_SHORT_HELP = "or IN04=0.5,MID=0, or 12 numbers"


class BlockWeightsScreen(ListDialog[BlockWeights | None]):
    """Edits them as a preset's name, as numbers or by block; gives None when left by Escape."""

    DEFAULT_CSS = """
    BlockWeightsScreen {
        & #blocks-note { height: 5; padding: 1 0; color: $text-muted; }
        & #blocks-note.-trouble { color: $text-error; }
        & OptionList { max-height: 30vh; text-wrap: nowrap; text-overflow: ellipsis; }
        & #blocks-help { height: auto; padding-top: 1; color: $text-muted; }
        &.-low #blocks-note { height: 2; padding: 0; }
        &.-low #blocks-help { height: 2; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "close", id="blocks.close",
                tooltip="Leave the block weights as they were"),
        Binding("down", "preset('cursor_down')", "down", show=False, id="blocks.down",
                tooltip="Next preset"),
        Binding("up", "preset('cursor_up')", "up", show=False, id="blocks.up",
                tooltip="Previous preset"),
    ]  # fmt: skip

    def __init__(self, ref: LoraRef, presets: Mapping[str, str]) -> None:
        super().__init__()
        self._ref = ref
        self._presets = presets
        self._names = list(presets)

    def compose(self) -> ComposeResult:
        """What is typed, what it means, and the presets."""
        with Framed("↑ ↓ preset · Enter applies · Escape cancels") as box:
            box.border_title = Content(f"Block weights of {clean_line(self._ref.name, 50)}")
            words = block_words(self._ref.blocks, self._presets)
            field = Input(words, placeholder="all blocks count fully", id="blocks", compact=True)
            field.cursor_blink = False
            yield field
            yield Static(id="blocks-note", markup=False)
            rows = (_row(name, self._presets) for name in self._names)
            presets = OptionList(*rows, id="blocks-presets", markup=False)
            presets.can_focus = False
            yield presets
            yield Static(id="blocks-help", markup=False)

    def on_mount(self) -> None:
        """No preset is chosen yet."""
        self.query_one(OptionList).highlighted = None

    def on_resize(self) -> None:
        """On a low screen there is room for less help."""
        is_low = self.size.height < _ROWS_FOR_HELP
        self.set_class(is_low, "-low")
        self.query_one("#blocks-help", Static).update(_SHORT_HELP if is_low else _HELP)

    @on(Input.Changed)
    def show_meaning(self) -> None:
        """Say what is typed means, or why it cannot be."""
        note = self.query_one("#blocks-note", Static)
        presets, text = self.query_one(OptionList), self.query_one(Input).value
        if presets.highlighted is not None and text != self._names[presets.highlighted]:
            presets.highlighted = None
        try:
            words = _meaning(self._read())
        except EngineError as error:
            note.add_class("-trouble")
            note.update(Content(clean_line(str(error))))
        else:
            note.remove_class("-trouble")
            note.update(words)

    @on(Input.Submitted)
    def apply(self) -> None:
        """Hand the block weights back, if they can be."""
        try:
            blocks = self._read()
        except EngineError:
            return  # the note says why
        self.dismiss(blocks)

    @on(OptionList.OptionSelected)
    def take_by_click(self, message: OptionList.OptionSelected) -> None:
        """A click on a preset takes it over."""
        self._take(message.option_index)

    def action_preset(self, movement: str) -> None:
        """Take the next or previous preset over into the field."""
        presets = self.query_one(OptionList)
        getattr(presets, f"action_{movement}")()
        if presets.highlighted is not None:
            self._take(presets.highlighted)

    def _take(self, number: int) -> None:
        field = self.query_one(Input)
        field.value = self._names[number]
        field.cursor_position = len(field.value)

    def _read(self) -> BlockWeights:
        text = self.query_one(Input).value.strip()
        return parse_block_weights(text, self._presets) if text else ()


def _row(name: str, presets: Mapping[str, str]) -> Option:
    shown = Content(clean_line(name, 60)).truncate(_NAME_WIDTH, ellipsis=True, pad=True)
    return Option(Content.assemble(shown, (f"  {presets[name]}", MUTED)))


def _meaning(blocks: BlockWeights) -> Content:
    if not blocks:
        return Content("all blocks count fully")
    listed = Content(" · ".join(f"{name} {weight:g}" for name, weight in blocks))
    return Content("\n").join([Content(block_numbers(blocks)), listed])
