"""Block weights of a member of the stack: typed, chosen from presets, shown, remembered."""

from __future__ import annotations

import pytest
from msgspec import structs
from textual.widgets import Input

from engine.block_weights import PRESETS, parse_block_weights
from engine.protocol.refs import LoraRef
from tui_loraswitch.control.stack_view import StackView
from tui_loraswitch.panes.stack_row import member_row
from tui_loraswitch.screens.block_weights import BlockWeightsScreen

FACE = {"FACE": "1,0,0,0,0,0,1,1,1,0,0,0"}


async def open_screen(driver, *members: str) -> BlockWeightsScreen:
    """With these live, the block weights of the first."""
    await driver.load()
    for name in members:
        await driver.highlight(name)
        await driver.press("space")
        await driver.confirm()
    await driver.press("4")
    driver.app.main.stack.focus_target().focus()
    await driver.press("w")
    assert isinstance(driver.app.screen, BlockWeightsScreen)
    return driver.app.screen


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_what_is_typed_is_explained_and_applied(start, session, size):
    async with start(*size) as driver:
        await open_screen(driver, "ink", "aya")
        await driver.sees("Block weights of ink", "all blocks count fully", *PRESETS.values())
        assert "Enter applies" in driver.text
        await driver.press(*"in4=0.5,mi")
        await driver.sees("SDXL has no block 'mi'")
        await driver.press("enter")
        assert isinstance(driver.app.screen, BlockWeightsScreen), "what cannot be is not taken"
        await driver.press(*"d=0")
        await driver.sees("1,0.5,1,1,1,0,1,1,1,1,1,1", "IN04 0.5 · MID 0")
        await driver.press("enter")
        ink, aya = session.view.wanted
        assert (ink.blocks, aya.blocks) == ((("IN04", 0.5), ("MID", 0.0)), ())
        await driver.confirm()
        await driver.sees("lbw IN04=0.5", "ink 1.00 lbw")


async def test_presets_are_chosen_by_arrows_and_the_users_own_are_there(start, session, settings):
    presets = {**PRESETS, **FACE}
    async with start(settings=structs.replace(settings, block_weights=presets)) as driver:
        screen = await open_screen(driver, "ink")
        await driver.press("up")
        assert screen.query_one(Input).value == "FACE"
        await driver.press("enter")
        (ink,) = session.view.wanted
        assert ink.blocks == parse_block_weights("FACE", presets)
        await driver.confirm()
        await driver.sees("lbw FACE")
        await driver.press("w")
        assert driver.app.screen.query_one(Input).value == "FACE"
        await driver.press("ctrl+u", "enter")
        assert session.view.wanted == (LoraRef(ink.path),)


async def test_they_are_remembered_with_the_strengths(start, session):
    async with start() as driver:
        await open_screen(driver, "ink")
        await driver.press(*"MID", "enter")
        await driver.confirm()
        await driver.press("plus")
        await driver.confirm()
        await driver.press("0")
        await driver.confirm()
        await driver.highlight("ink")
        driver.list.focus()
        await driver.press("enter")
        (ink,) = session.view.wanted
        assert (ink.unet, ink.blocks) == (1.05, parse_block_weights("MID"))


async def test_escape_leaves_them(start, session):
    async with start() as driver:
        await open_screen(driver, "ink")
        await driver.press(*"MID", "escape")
        assert driver.app.screen is driver.app.main
        assert [ref.blocks for ref in session.view.wanted] == [()]


async def test_footer_help_and_palette_tell(start):
    async with start() as driver:
        await open_screen(driver, "ink")
        await driver.press("escape")
        assert "w blocks" in driver.screen[-1]
        await driver.press("question_mark")
        assert "how strongly it counts in each block" in driver.text
        await driver.press("escape", "ctrl+p", *"blocks", "enter")
        await driver.until(lambda: isinstance(driver.app.screen, BlockWeightsScreen))


@pytest.mark.parametrize("width", [20, 39, 60])
@pytest.mark.parametrize("blocks", ["", "MID", "IN04=0.5,MID=0,OUT00=0.25,OUT01=0.125"])
def test_a_row_fits_and_the_strengths_stay(width, blocks):
    weights = parse_block_weights(blocks) if blocks else ()
    ref = LoraRef("/loras/neon_glow_of_the_night.safetensors", 0.8, 0.8, blocks=weights)
    row = member_row(ref, StackView((ref,), (ref,)), PRESETS, width)
    assert row.cell_length == width
    assert row.plain.endswith("0.80")
    assert ("lbw" in row.plain) == bool(blocks)
    if width == 39 and len(weights) == 4:
        assert "● neon_glow_of_the_… lbw IN04=0.5… 0.80" in row.plain
