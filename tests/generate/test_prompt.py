"""A1111's grammar: weights, escapes, BREAK."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.words.lora_tags import LoraTag
from engine.words.other_tags import notes_on_tags
from engine.words.prompt import LONGEST_PROMPT, WeightedText, is_empty, parse_prompt


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
        ("(a: 1.)", [("a", 1.0)]),
        ("(a:)", [("a:", 1.1)]),
        ("([a)b]", [("a", 1.0), ("b", 0.9091)]),
        ("(a\\:1.2)", [("a", 1.2)]),
        ("((a:0.5)(b:0.5):2)", [("ab", 1.0)]),
    ],
)
def test_weights_follow_a1111(text: str, expected: list[tuple[str, float]]) -> None:
    assert weights(text) == expected


def test_break_splits_into_parts_and_only_as_a_word() -> None:
    parts = parse_prompt("a BREAK (b BREAK c) BREAKER").parts
    assert [[piece.text for piece in part] for part in parts] == [["a"], ["b"], ["c", " BREAKER"]]
    assert parts[1] == (WeightedText("b", 1.1),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BREAK", [[], []]),
        ("BREAK a", [[], ["a"]]),
        ("a BREAK", [["a"], []]),
        ("a BREAK BREAK b", [["a"], [], ["b"]]),
        ("a BREAK\n\tb", [["a"], ["b"]]),
        (" a  BREAK  b ", [[" a"], ["b "]]),
        ("a,BREAK,b", [["a,"], [",b"]]),
        ("breakBREAK BREAK_ Break", [["breakBREAK BREAK_ Break"]]),
    ],
)
def test_break_takes_the_blanks_around_it_along(text: str, expected: list[list[str]]) -> None:
    parts = parse_prompt(text).parts
    assert [[piece.text for piece in part] for part in parts] == expected


def read_as_a1111(text: str) -> list[list[tuple[str, float]]]:
    """A1111's rule in its plainest form: a bracket multiplies all that was read since it opened."""
    pieces: list[list[object]] = []
    opened: dict[str, list[int]] = {")": [], "]": []}

    def multiply(start: int, factor: float) -> None:
        for piece in pieces[start:]:
            piece[1] = float(piece[1]) * factor  # type: ignore[arg-type]

    place = 0
    while place < len(text):
        rest = text[place:]
        number = re.match(r":\s*([+-]?[0-9]*\.?[0-9]*)\s*\)", rest)
        has_digits = bool(number and re.search("[0-9]", number[1]))
        step = 1
        if rest[0] == "\\":
            step = 2 if rest[1:2] and rest[1] in "\\()[]" else 1
            pieces.append([rest[1:step], 1.0])
        elif rest[0] in "([":
            opened[")" if rest[0] == "(" else "]"].append(len(pieces))
        elif number and has_digits and opened[")"]:
            step = number.end()
            multiply(opened[")"].pop(), float(number[1]))
        elif rest[0] in ")]" and opened[rest[0]]:
            multiply(opened[rest[0]].pop(), 1.1 if rest[0] == ")" else 1 / 1.1)
        else:
            pieces.append([rest[0], 1.0])
        place += step
    for start in opened[")"]:
        multiply(start, 1.1)
    for start in opened["]"]:
        multiply(start, 1 / 1.1)
    return [[(str(text), float(weight)) for text, weight in pieces]]  # type: ignore[arg-type]


@given(st.text(alphabet="ab ()[]:\\.12", max_size=40))
def test_weights_equal_a_plain_reading_of_the_rule(text: str) -> None:
    (expected,) = read_as_a1111(text)
    letters = [(letter, weight) for text_, weight in expected for letter in text_]
    if any(not abs(weight) <= 100 for _, weight in letters):
        with pytest.raises(EngineError):
            parse_prompt(text)
        return
    (part,) = parse_prompt(text).parts
    found = [(letter, piece.weight) for piece in part for letter in piece.text]
    assert [letter for letter, _ in found] == [letter for letter, _ in letters]
    assert [weight for _, weight in found] == pytest.approx([weight for _, weight in letters])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        (" \n", True),
        ("<lora:a:1>", True),
        ("<hypernet:a:1> <lora:a:1>", True),
        ("<a>", False),
        ("()", False),
        ("BREAK", False),
        ("a", False),
    ],
)
def test_empty_is_what_says_nothing_but_tags(text: str, expected: bool) -> None:
    assert is_empty(text) == expected


LONG_UNITS = (
    " ", "\n", "(", "[", "([", "(a", "[a", ")", "1", "(a:1", ":", ": ", ",", "\\", "\\(", "BREAK",
    " BREAK", "BREAK ", "(a:1.1)[b]", "<", "<lora:", "a:", "狐", "\0", "\u2028",
)  # fmt: skip


@pytest.mark.parametrize("unit", LONG_UNITS)
@pytest.mark.parametrize("head", ["", "(a:1."])
def test_a_long_prompt_is_parsed_or_refused_without_hanging(head: str, unit: str) -> None:
    """Each costs milliseconds by code whose time grows with the length; by its square, minutes."""
    text = (head + unit * LONGEST_PROMPT)[: LONGEST_PROMPT // 3] + ")"
    with suppress(EngineError):
        parse_prompt(text)


@pytest.mark.parametrize("tag", ["<lora:a:" + "1" * 9999 + ">", "<lora::" + "b" * 9999 + ">"])
def test_a_long_tag_is_not_repeated_in_full(tag: str) -> None:
    with pytest.raises(EngineError) as refusal:
        parse_prompt(tag)
    assert len(str(refusal.value)) < 300


def test_more_than_anybody_writes_is_refused() -> None:
    with pytest.raises(EngineError, match="100,001 characters; at most 100,000"):
        parse_prompt("a" * (LONGEST_PROMPT + 1))
    with pytest.raises(EngineError, match="501 LoRA tags; at most 500"):
        parse_prompt("<lora:a:1>" * 501)
    assert len(parse_prompt("<lora:a:1>" * 500).loras) == 500


def test_weights_out_of_reach_are_refused() -> None:
    with pytest.raises(EngineError, match="weight"):
        parse_prompt("(a:" + "9" * 400 + ")")


def test_tags_are_no_part_of_what_is_read() -> None:
    parsed = parse_prompt("a fox<lora:ink:0.6:0.8>, rain", order="unet, te")
    assert parsed.loras == (LoraTag("ink", unet=0.6, text_encoder=0.8),)
    assert parsed.parts == ((WeightedText("a fox, rain"),),)


@pytest.mark.parametrize(
    ("text", "rest", "said"),
    [
        ("a <hypernet:x:1>fox", "a fox", "“<hypernet:x:1>” is left out"),
        ("a <segment:face, 0.5>fox", "a fox", "“<segment:face, 0.5>” is left out"),
        ("a fox<LORA:ink:1>", "a fox", None),
        ("a fox <lora:ink", "a fox <lora:ink", "“<lora:ink” is taken as text"),
        ("<lora:ink:1 <lyco:b:1>", "<lora:ink:1 ", "“<lora:ink:1” is taken as text"),
        ("a <lora :ink:1>", "a <lora :ink:1>", "“<lora :ink:1>” is taken as text"),
        ("a < lora:ink:1>", "a < lora:ink:1>", "“< lora:ink:1>” is taken as text"),
        ("a <lora>", "a <lora>", "“<lora>” is taken as text"),
        ("a <3 b, <flora>, x<y: z", "a <3 b, <flora>, x<y: z", None),
    ],
)
def test_other_tags_are_left_out_and_odd_ones_said(text: str, rest: str, said: str | None) -> None:
    assert "".join(p.text for part in parse_prompt(text).parts for p in part) == rest
    notes = notes_on_tags(text)
    assert len(notes) == bool(said)
    assert not said or said in notes[0]


def test_notes_on_tags_are_few() -> None:
    assert len(notes_on_tags("".join(f"<a{n}:b>" for n in range(500)))) == 20
    assert len(notes_on_tags("<a:b>" * 500)) == 1


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
