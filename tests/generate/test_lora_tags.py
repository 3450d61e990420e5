"""`<lora:…>` tags: both orders of strengths, odd spellings, and whatever people may type."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.words.lora_tags import LoraTag, TagOrder, split_tags

ORDERS: tuple[TagOrder, ...] = ("te, unet", "unet, te")


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("<lora:ink>", LoraTag("ink", 1.0, 1.0)),
        ("<lora:ink:0.8>", LoraTag("ink", 0.8, 0.8)),
        ("<lora:ink:0.6:0.8>", LoraTag("ink", unet=0.8, text_encoder=0.6)),
        ("<lora:ink:te=0.5>", LoraTag("ink", unet=0.5, text_encoder=0.5)),
        ("<lora:ink:unet=0.5>", LoraTag("ink", unet=0.5, text_encoder=1.0)),
        ("<lora:ink:te=0.6:unet=-0.8>", LoraTag("ink", unet=-0.8, text_encoder=0.6)),
        ("<lora:ink:1:unet=0.2>", LoraTag("ink", unet=0.2, text_encoder=1.0)),
        ("<lora:ink:0.6:0.8:64>", LoraTag("ink", 0.8, 0.6, (("dyn", "64"),))),
        ("<lora:ink:0.6:0.8:64:dyn=8>", LoraTag("ink", 0.8, 0.6, (("dyn", "8"),))),
        ("<lora:ink: te = 0.5 : unet=0.8>", LoraTag("ink", unet=0.8, text_encoder=0.5)),
        ("<lora:ink:1: lbw = MID >", LoraTag("ink", 1.0, 1.0, (("lbw", "MID"),))),
        ("<lora: a b.c :1:lbw=MID>", LoraTag("a b.c", 1.0, 1.0, (("lbw", "MID"),))),
        ("<LORA:ink:1>", LoraTag("ink")),
        ("<lyco:ink:.3>", LoraTag("ink", 0.3, 0.3)),
        ("<lora:sub/ink (v2):-1e-1>", LoraTag("sub/ink (v2)", -0.1, -0.1)),
    ],
)
def test_tags_are_read_and_taken_out(tag: str, expected: LoraTag) -> None:
    assert split_tags(f"a fox{tag}, rain") == ("a fox, rain", (expected,))


def test_the_setting_says_which_of_two_strengths_comes_first() -> None:
    text = "<lora:ink:0.8:0.6>"
    (a1111,), (comfy,) = (split_tags(text, order)[1] for order in ORDERS)
    assert (a1111.text_encoder, a1111.unet) == (0.8, 0.6)
    assert (comfy.unet, comfy.text_encoder) == (0.8, 0.6)
    for order in ORDERS:
        assert split_tags("<lora:ink:0.8>", order)[1] == (LoraTag("ink", 0.8, 0.8),)


def test_tags_keep_their_order_and_repeat() -> None:
    rest, tags = split_tags("<lora:b:1>a <lora:a:2>,\n<lora:b:3> c")
    assert rest == "a ,\n c"
    assert [(tag.name, tag.unet) for tag in tags] == [("b", 1), ("a", 2), ("b", 3)]


@pytest.mark.parametrize(
    "tag",
    ["<lora:>", "<lora::1>", "<lora: :1>", "<lora:ink:>", "<lora:ink:strong>", "<lora:ink:nan>",
     "<lora:ink:inf>", "<lora:ink:1_0>", "<lora:ink:te=>", "<lora:ink:1e999>", "<lora:ink:١>"],
)  # fmt: skip
def test_tags_without_sense_are_refused_by_name(tag: str) -> None:
    with pytest.raises(EngineError) as refusal:
        split_tags(f"a fox {tag}")
    assert tag in str(refusal.value)


@pytest.mark.parametrize("text", ["<lora>", "<lora:a", "lora:a>", "<flora:a>", "<lora:<b>>", "a<b"])
def test_what_is_no_tag_stays(text: str) -> None:
    assert split_tags(text) == (text, ())


@given(
    st.from_regex(r"[\w .-]*[\w.-]", fullmatch=True).map(str.strip).filter(bool),
    st.decimals(-4, 4, places=3).map(float),
    st.decimals(-4, 4, places=3).map(float),
)
def test_tags_survive_writing_in_both_orders(name: str, unet: float, text_encoder: float) -> None:
    tag = LoraTag(name, unet, text_encoder)
    for order in ORDERS:
        assert split_tags(str(tag), order) == ("", (tag,))


pieces = st.sampled_from(
    ["<lora:", "<LYCO:", "<", ">", ":", "=", "te", "unet", "0.5", "-", "e", "9"]
)


@given(st.lists(pieces | st.text(max_size=3), max_size=25).map("".join), st.sampled_from(ORDERS))
def test_any_text_is_read_or_refused(text: str, order: TagOrder) -> None:
    try:
        rest, tags = split_tags(text, order)
    except EngineError:
        return
    assert all(tag.name and math.isfinite(tag.unet + tag.text_encoder) for tag in tags)
    assert len(rest) <= len(text)
    assert bool(tags) == (rest != text)
