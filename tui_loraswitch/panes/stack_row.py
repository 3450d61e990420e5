"""One member of the stack as styled text."""

from __future__ import annotations

from collections.abc import Mapping

from textual.content import Content

from engine.protocol.refs import LoraRef
from engine.protocol.text import block_words, decimals, member_name, strength
from tui_loraswitch.control.stack_view import StackView
from tui_loraswitch.look.theme import FAINT, MUTED

_BLOCKS_WIDTH = 14
"""Cells that block weights get at least: ` lbw IN04=0.5…`."""


def member_row(
    ref: LoraRef, view: StackView, presets: Mapping[str, str], width: int, is_tagged: bool = False
) -> Content:
    """Sign, name, block weights and strengths of a member; the name gives way first."""
    sign, style = ("●", "$text-success") if ref in view.live else ("◌", "$text-warning")
    name = Content.assemble((f"{sign} ", style), member_name(ref, is_tagged))
    words = block_words(ref.blocks, presets)
    blocks = Content.styled(f" lbw {words}" if words else "", MUTED)
    numbers = _labelled(ref)
    least = min(blocks.cell_length, _BLOCKS_WIDTH)
    if blocks and name.cell_length + least + numbers.cell_length + 1 > width:
        numbers = Content(strength(ref))
    room = width - numbers.cell_length - 1
    blocks = blocks.truncate(max(least, room - name.cell_length), ellipsis=True)
    name = name.truncate(max(4, room - blocks.cell_length), ellipsis=True)
    left = Content.assemble(name, blocks)
    return Content.assemble(left.truncate(room, pad=True), " ", numbers)


def _labelled(ref: LoraRef) -> Content:
    encoders = decimals(ref.text_encoder)
    if ref.text_encoder_2_strength != ref.text_encoder:
        encoders += f"/{decimals(ref.text_encoder_2_strength)}"
    return Content.assemble(
        ("unet ", FAINT), f"{decimals(ref.unet):>5}", ("  te ", FAINT), encoders
    )
