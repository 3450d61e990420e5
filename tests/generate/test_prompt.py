"""A1111's grammar: weights, escapes, BREAK."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.generate.lora_tags import LoraTag
from engine.generate.prompt import WeightedText, parse_prompt


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


def test_tags_are_no_part_of_what_is_read() -> None:
    parsed = parse_prompt("a fox<lora:ink:0.6:0.8>, rain", order="unet, te")
    assert parsed.loras == (LoraTag("ink", unet=0.6, text_encoder=0.8),)
    assert parsed.parts == ((WeightedText("a fox, rain"),),)


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
