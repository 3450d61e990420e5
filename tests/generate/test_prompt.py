"""A1111's grammar: weights, escapes, BREAK, tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.generate.prompt import LoraTag, WeightedText, parse_prompt, split_tags


def weights(text: str) -> list[tuple[str, float]]:
    (part,) = parse_prompt(text).parts
    return [(piece.text, round(piece.weight, 4)) for piece in part]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a red fox", [("a red fox", 1.0)]),
        ("a (red) fox", [("a ", 1.0), ("red", 1.1), (" fox", 1.0)]),
        ("a (red:1.5) fox", [("a ", 1.0), ("red", 1.5), (" fox", 1.0)]),
        ("(red: .5 )", [("red", 0.5)]),
        ("(red:-1)", [("red", -1.0)]),
        ("((red))", [("red", 1.21)]),
        ("[red]", [("red", 0.9091)]),
        ("[[red]]", [("red", 0.8264)]),
        ("[(red)]", [("red", 1.0)]),
        ("(a (b:2) c:1.5)", [("a ", 1.5), ("b", 3.0), (" c", 1.5)]),
        ("(unclosed", [("unclosed", 1.1)]),
        ("((a) b", [("a", 1.21), (" b", 1.1)]),
        ("closed)", [("closed)", 1.0)]),
        ("no bracket:1.2)", [("no bracket:1.2)", 1.0)]),
        (r"fox \(animal\)", [("fox (animal)", 1.0)]),
        (r"\[x\] \\", [("[x] \\", 1.0)]),
        (r"lone \ slash", [("lone  slash", 1.0)]),
        ("(time 12:30)", [("time 12", 30.0)]),
        ("ratio 1:2:3, yes", [("ratio 1:2:3, yes", 1.0)]),
        ("(a:1.2.3)", [("a:1.2.3", 1.1)]),
        ("(a:1)(b:1)", [("ab", 1.0)]),
        ("", []),
        ("()", []),
    ],
)
def test_weights_follow_a1111(text: str, expected: list[tuple[str, float]]) -> None:
    assert weights(text) == expected


def test_break_splits_into_parts_and_only_as_a_word() -> None:
    parts = parse_prompt("a BREAK (b BREAK c) BREAKER").parts
    assert [[piece.text for piece in part] for part in parts] == [["a"], ["b"], ["c", " BREAKER"]]
    assert parts[1] == (WeightedText("b", 1.1),)


def test_weights_out_of_reach_are_refused() -> None:
    with pytest.raises(EngineError, match="weight"):
        parse_prompt("(a:" + "9" * 400 + ")")


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
        ("<lora: a b.c :1:lbw=MID>", LoraTag("a b.c", 1.0, 1.0, (("lbw", "MID"),))),
        ("<LORA:ink:1>", LoraTag("ink")),
        ("<lyco:ink:0.3>", LoraTag("ink", 0.3, 0.3)),
    ],
)
def test_tags_are_read_and_taken_out(tag: str, expected: LoraTag) -> None:
    parsed = parse_prompt(f"a fox{tag}, rain")
    assert parsed.loras == (expected,)
    assert parsed.parts == ((WeightedText("a fox, rain"),),)


def test_other_programs_put_the_unet_first() -> None:
    _, (tag,) = split_tags("<lora:ink:0.8:0.6>", order="unet, te")
    assert (tag.unet, tag.text_encoder) == (0.8, 0.6)
    _, (tag,) = split_tags("<lora:ink:0.8>", order="unet, te")
    assert (tag.unet, tag.text_encoder) == (0.8, 0.8)


@pytest.mark.parametrize("tag", ["<lora:>", "<lora::1>", "<lora:ink:strong>", "<lora:ink:nan>"])
def test_tags_without_sense_are_refused_by_name(tag: str) -> None:
    with pytest.raises(EngineError) as refusal:
        parse_prompt(tag)
    assert tag in str(refusal.value)


@given(
    st.from_regex(r"[\w .-]*[\w.-]", fullmatch=True).map(str.strip).filter(bool),
    st.decimals(-4, 4, places=3).map(float),
    st.decimals(-4, 4, places=3).map(float),
)
def test_tags_survive_writing_in_both_orders(name: str, unet: float, text_encoder: float) -> None:
    tag = LoraTag(name, unet, text_encoder)
    for order in ("te, unet", "unet, te"):
        assert split_tags(str(tag), order) == ("", (tag,))


@given(st.text(alphabet="ab ()[]:\\.12<>,BREAK", max_size=60))
def test_no_text_confuses_the_reader(text: str) -> None:
    try:
        parsed = parse_prompt(text)
    except EngineError:
        return
    assert sum(len(p.text) for part in parsed.parts for p in part) <= len(text)
    assert all(p.text for part in parsed.parts for p in part)


@given(st.text(alphabet=st.characters(exclude_characters="()[]\\<"), max_size=60))
def test_plain_text_stays_in_one_piece(text: str) -> None:
    if "BREAK" not in text:
        assert "".join(p.text for p in parse_prompt(text).parts[0]) == text
