"""Block weights are read in every form that people write, and say which modules they mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.block_weights import (
    ATTENTION_BLOCKS,
    BLOCKS,
    PRESETS,
    block_numbers,
    format_block_weights,
    parse_block_weights,
)
from engine.errors import LoraRefusedError
from engine.switch.blocks import block_factor, block_of

FACTORS = st.floats(-4, 4, allow_nan=False).map(lambda value: round(value, 2))


def test_twelve_numbers_are_the_attention_blocks() -> None:
    text = "1,0,0,0,0,0.5,1,1,1,0,0,2"
    assert dict(parse_block_weights(text)) == {
        "IN04": 0, "IN05": 0, "IN07": 0, "IN08": 0, "MID": 0.5, "OUT03": 0, "OUT04": 0, "OUT05": 2,
    }  # fmt: skip


def test_twenty_numbers_are_all_blocks() -> None:
    text = ",".join(str(number) for number in range(20))
    assert dict(parse_block_weights(text)) == {
        name: number for number, name in enumerate(BLOCKS) if number != 1
    }


def test_names_and_presets() -> None:
    assert parse_block_weights("in4=0.5, M00=0,OUT01=2") == (
        ("IN04", 0.5), ("MID", 0.0), ("OUT01", 2.0),
    )  # fmt: skip
    assert parse_block_weights("all") == ()
    mine = {**PRESETS, "FACE": "1,0,0,0,0,0,1,1,1,0,0,0"}
    assert parse_block_weights("face", mine)[0] == ("IN04", 0.0)
    assert all(len(text.split(",")) == len(ATTENTION_BLOCKS) for text in PRESETS.values())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1,2,3", "12 or 20 numbers"),
        ("FACE", "no block weights named 'FACE'; known are ALL"),
        ("IN11=1", "no block 'IN11'"),
        ("IN04=much", "'much' is not a number"),
        ("MID=nan", "'nan' is not a number"),
        ("1,1,1,1,1,x,1,1,1,1,1,1", "'x' is not a number"),
        ("", "no block weights named ''"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, reason: str) -> None:
    with pytest.raises(LoraRefusedError, match=reason):
        parse_block_weights(text)


@given(st.dictionaries(st.sampled_from(BLOCKS), FACTORS.filter(lambda value: value != 1)))
def test_what_is_written_is_read_back(weights: dict[str, float]) -> None:
    ordered = tuple((name, weights[name]) for name in BLOCKS if name in weights)
    assert parse_block_weights(format_block_weights(ordered)) == ordered
    assert parse_block_weights(block_numbers(ordered)) == ordered


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_block_weights(text)
    except LoraRefusedError:
        return


@pytest.mark.parametrize(
    ("path", "block"),
    [
        # Pairs as in Stability AI's generative-models: input_blocks 4, 5, 7, 8 hold attention.
        ("down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q", "IN04"),
        ("down_blocks.1.attentions.1.proj_in", "IN05"),
        ("down_blocks.2.attentions.0.proj_in", "IN07"),
        ("down_blocks.2.attentions.1.proj_in", "IN08"),
        ("mid_block.attentions.0.proj_out", "MID"),
        ("up_blocks.0.attentions.0.proj_in", "OUT00"),
        ("up_blocks.1.attentions.2.proj_in", "OUT05"),
        ("up_blocks.2.resnets.2.conv1", "OUT08"),
        ("conv_in", "IN00"),
        ("down_blocks.0.downsamplers.0.conv", "IN03"),
        ("time_embedding.linear_1", "BASE"),
        ("conv_out", "BASE"),
    ],
)
def test_modules_belong_to_the_original_blocks(path: str, block: str) -> None:
    assert block_of("unet", path) == block
    assert block_factor(((block, 0.25),), "unet", path) == 0.25


def test_text_encoders_are_base() -> None:
    assert block_of("text_encoder_2", "encoder.layers.4.mlp.fc1") == "BASE"
