"""What is in a prompt already, and how words come into it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.words.prompt import parse_prompt
from tui_loraswitch.control.prompt_words import comma_items, escaped, joined, missing, without_tags


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("neon glow, night city", ["neon glow", "night city"]),
        (" , a,, b , ", ["a", "b"]),
        ("(a, b:1.2), c", ["(a, b:1.2)", "c"]),
        ("[a, b], {x, y|z}, c", ["[a, b]", "{x, y|z}", "c"]),
        ("((a, b), c), d", ["((a, b), c)", "d"]),
        (":(, smile", [":(", "smile"]),
        ("a), b", ["a)", "b"]),
        ("(a, b", ["(a", "b"]),
        (r"saber \(fate\), sword", [r"saber \(fate\)", "sword"]),
        (r"x \(a, b\)", [r"x \(a", r"b\)"]),
        ("", []),
    ],
)
def test_items_stand_between_commas_outside_brackets(text: str, items: list[str]) -> None:
    assert comma_items(text) == items


@pytest.mark.parametrize(
    ("prompt", "group", "left"),
    [
        ("a night city", "neon glow, night city", ["neon glow"]),
        ("a category of dogs", "cat, dog", ["cat", "dog"]),
        ("cats", "cat", ["cat"]),
        ("Neon Glow.", "neon glow", []),
        ("neon, glow", "neon glow", ["neon glow"]),
        ("neon BREAK glow", "neon glow", ["neon glow"]),
        ("neon break glow", "break glow", []),
        ("(neon glow:1.3), x", "neon glow", []),
        ("((neon) glow)", "neon glow", []),
        ("neon glow", "(neon glow:1.3)", []),
        ("(neon glow, rain:1.2)", "(neon glow, rain:1.2)", []),
        ("neon glow, rain", "(neon glow, rain:1.2)", []),
        ("rain, neon glow", "(neon glow, rain:1.2)", ["(neon glow, rain:1.2)"]),
        (r"saber \(fate\)", r"saber \(fate\)", []),
        ("saber (fate)", r"saber \(fate\)", []),
        ("saber", r"saber \(fate\)", [r"saber \(fate\)"]),
        ("<lora:neon glow:1>", "neon glow", ["neon glow"]),
        ("<lora:cat:1> dog", "cat, dog", ["cat"]),
        ("red 3", ":3", [":3"]),
        ("smile, :3", ":3", []),
        ("ohwx woman", "ohwx_woman", ["ohwx_woman"]),
        ("", "a, b", ["a", "b"]),
        ("a", "", []),
        ("cafe\u0301", "caf\u00e9", []),
        ("2b (nier:automata)", r"2b \(nier:automata\)", []),
    ],
)
def test_an_item_is_there_as_whole_words(prompt: str, group: str, left: list[str]) -> None:
    assert missing(prompt, group) == left


@pytest.mark.parametrize(
    ("prompt", "result"),
    [
        ("", "x, y"),
        ("a fox", "a fox, x, y"),
        ("a fox, ", "a fox, x, y"),
        ("a fox ,", "a fox, x, y"),
        ("a fox BREAK", "a fox BREAK x, y"),
        ("a LABREAK", "a LABREAK, x, y"),
        ("a fox <lora:neon:1>", "a fox <lora:neon:1>, x, y"),
    ],
)
def test_words_go_to_the_end(prompt: str, result: str) -> None:
    assert joined(prompt, ["x", "y"]) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a  b ,c", "a  b ,c"),
        ("<lora:x:1>", ""),
        ("glow, <lora:x:0.8:lbw=MID>, rain", "glow, rain"),
        ("glow <LYCO:x> rain", "glow  rain"),
        ("a < b > c", "a < b > c"),
    ],
)
def test_tags_are_taken_out_of_trigger_words(text: str, result: str) -> None:
    assert without_tags(text) == result


def test_brackets_are_escaped_once() -> None:
    assert escaped("saber_(fate)") == r"saber_\(fate\)"
    assert escaped(r"saber \(fate\)") == r"saber \(fate\)"
    assert escaped(r"[x] \\(y)") == r"\[x\] \\\(y\)"


texts = st.text(st.sampled_from("abc ()[]{}\\,:|<>.1_\nBREAK") | st.characters(), max_size=30)


@given(texts, texts)
def test_what_was_put_in_is_there(prompt: str, group: str) -> None:
    after = joined(prompt, missing(prompt, group))
    assert all(item in group for item in missing(prompt, group))
    if prompt.count("\\") == prompt.count("<") == group.count("\\") == group.count("<") == 0:
        assert missing(after, group) == []


@given(st.text(st.sampled_from("ab _()[]"), max_size=20))
def test_an_escaped_tag_has_no_emphasis(tag: str) -> None:
    ((*texts,),) = parse_prompt(escaped(tag)).parts
    assert all(text.weight == 1.0 for text in texts)
    assert "".join(text.text for text in texts) == tag
