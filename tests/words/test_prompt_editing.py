"""Prompt editing, alternation and AND: what A1111 1.10 makes of the same prompts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.words.prompt import WeightedText, parse_prompt
from engine.words.prompt_language.editing import MOST_CHANGES, texts_over_steps
from engine.words.prompt_language.parts import (
    notes_on_negative,
    read_prompt,
    tags_that_never_change,
)
from tests.support.bounds import bounded

Texts = list[tuple[int, str]]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("test", [(10, "test")]),
        ("", [(10, "")]),
        ("a [b:3]", [(3, "a "), (10, "a b")]),
        ("a [b: 3 ]", [(3, "a "), (10, "a b")]),
        ("a [[[b]]:2]", [(2, "a "), (10, "a [[b]]")]),
        ("[(a:2):3]", [(3, ""), (10, "(a:2)")]),
        ("a [b : c : 1] d", [(1, "a b  d"), (10, "a  c  d")]),
        ("a[b:[c:d:2]:1]e", [(1, "abe"), (2, "ace"), (10, "ade")]),
        ("a [b:.5] c", [(5, "a  c"), (10, "a b c")]),
        ("a [b::0.29] c", [(2, "a b c"), (10, "a  c")]),
        ("(a [b:c:0.5]:1.2)", [(5, "(a b:1.2)"), (10, "(a c:1.2)")]),
        ("[fe|]male", [(n, "female" if n % 2 else "male") for n in range(1, 11)]),
        ("[[a|b]:c:2]", [(1, "a"), (2, "b"), (10, "c")]),
        # A share with a point; a step without one; both end with the steps.
        ("[a:b:1.0]", [(10, "a")]),
        ("[a:b:1]", [(1, "a"), (10, "b")]),
        ("[a:b:20]", [(10, "a")]),
        ("[a:b:2e0]", [(2, "a"), (10, "b")]),
        ("[a:b:2.5E-1]", [(2, "a"), (10, "b")]),
        ("[a:b:1e99]", [(10, "a")]),
        ("[a:b:0]", [(10, "b")]),
        ("[a:b:-1]", [(10, "b")]),
        # Not editing: weights, colons and bars of plain text, escapes, tags.
        ("a [unbalanced", [(10, "a [unbalanced")]),
        ("[a] (b:1.2) c: d | e", [(10, "[a] (b:1.2) c: d | e")]),
        (r"\[a:b:0.5\] [c\:d:e\|:3]", [(3, r"\[a:b:0.5\] c\:d"), (10, r"\[a:b:0.5\] e\|")]),
        ("[<lora:ink:1>:b:2]", [(2, "<lora:ink:1>"), (10, "b")]),
        ("[<segment:face>:b:2]", [(2, "<segment:face>"), (10, "b")]),
        ("a < b [c:2] > d", [(2, "a < b  > d"), (10, "a < b c > d")]),
    ],
)  # fmt: skip
def test_the_text_over_ten_steps(prompt: str, expected: Texts) -> None:
    texts, notes = texts_over_steps(prompt, 10)
    assert list(texts) == expected
    assert notes == ()


def test_the_example_that_everyone_knows() -> None:
    prompt = (
        "fantasy landscape with a [mountain:lake:0.25] and [an oak:a christmas tree:0.75]"
        "[ in foreground::0.6][ in background:0.25] [shoddy:masterful:0.5]"
    )
    begin = "fantasy landscape with a "
    assert list(texts_over_steps(prompt, 100)[0]) == [
        (25, f"{begin}mountain and an oak in foreground shoddy"),
        (50, f"{begin}lake and an oak in foreground in background shoddy"),
        (60, f"{begin}lake and an oak in foreground in background masterful"),
        (75, f"{begin}lake and an oak in background masterful"),
        (100, f"{begin}lake and a christmas tree in background masterful"),
    ]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a [b:.5] c", [(10, "a b c")]),
        ("a [b:1.5] c", [(5, "a  c"), (10, "a b c")]),
        ("a [b:12] c", [(2, "a  c"), (10, "a b c")]),
        ("[a|b]", [(n, "a" if n % 2 else "b") for n in range(1, 11)]),
    ],
)
def test_a_second_pass_goes_on_counting(prompt: str, expected: Texts) -> None:
    assert list(texts_over_steps(prompt, 10, steps_before=10)[0]) == expected


def test_neighbours_that_say_the_same_are_one_text() -> None:
    assert texts_over_steps("[a|a|b]", 5)[0] == ((2, "a"), (3, "b"), (5, "a"))


@pytest.mark.parametrize(
    ("prompt", "note"),
    [
        ("[a:b", "“[a:b” is taken as text: no closing bracket."),
        ("[a|b", "“[a|b” is taken as text: no closing bracket."),
        ("x [a:b:soon]", "“[a:b:soon]” is taken as text: “soon” is no step and no share"),
        ("[a:b]", "“[a:b]” is taken as text: “b” is no step"),
        ("[a:b:]", "“[a:b:]” is taken as text: “” is no step"),
        ("[a:b:c:2]", "it has more than three fields"),
        ("[a|b:0.5]", "“:” and “|” need brackets of their own"),
        ("[a:(b:0.5]", "a “(” in it is not closed"),
        ("([a:b:0.5)", "“[a:b:0.5)” is taken as text: no closing bracket."),
    ],
)
def test_what_is_not_understood_is_said(prompt: str, note: str) -> None:
    texts, notes = texts_over_steps(prompt, 10)
    assert texts == ((10, prompt),)
    assert len(notes) == 1
    assert note in notes[0]


def test_editing_beside_a_bracket_without_end_is_read() -> None:
    texts, notes = texts_over_steps("((a][:b:c [d:3]", 10)
    assert texts == ((3, "((a][:b:c "), (10, "((a][:b:c d"))
    assert len(notes) == 1


def test_parts_have_weights_and_texts_of_their_own() -> None:
    read = read_prompt("a [cat:dog:2] :1.2 AND (b:1.5) BREAK c AND d:-.5", 4)
    assert [(part.weight, part.texts) for part in read.parts] == [
        (1.2, ((2, "a cat"), (4, "a dog"))),
        (1.0, ((4, " (b:1.5) BREAK c "),)),
        (-0.5, ((4, " d"),)),
    ]
    assert read.notes == ()
    assert [read.parts[0].at(step) for step in (1, 2, 3, 4)] == ["a cat"] * 2 + ["a dog"] * 2


def test_only_the_whole_word_in_capitals_divides() -> None:
    assert len(read_prompt("SAND, a and b, LANDAND", 4).parts) == 1


def test_and_in_a_negative_prompt_is_said() -> None:
    assert notes_on_negative("dull, sand and SANDS") == ()
    assert notes_on_negative("dull AND grey :2") == (
        "“AND” in the negative prompt is a word like others.",
    )


def test_a_weight_of_the_whole_prompt_is_said_and_can_be_escaped() -> None:
    read = read_prompt("ratio 4:3", 4)
    assert (read.parts[0].weight, read.parts[0].at(1)) == (3.0, "ratio 4")
    assert "“:3” at the end of the prompt is its weight" in read.notes[0]
    escaped = read_prompt(r"ratio 4\:3", 4)
    assert (escaped.parts[0].weight, escaped.notes) == (1.0, ())
    assert parse_prompt(escaped.parts[0].at(1)).parts == ((WeightedText("ratio 4:3"),),)


def test_a_tag_in_brackets_that_change_is_said() -> None:
    assert tags_that_never_change("<lora:a:1> [x] (y <lora:b:1>)") == ()
    (note,) = tags_that_never_change("[<lora:ink:1> fox:cat:0.5]")
    assert note.startswith("“<lora:ink:1>” counts at all steps")


_PIECES = st.sampled_from(
    ["[", "]", "(", ")", ":", "|", "a", " b", "0.5", "3", "\\", "\\[", "<lora:x:1>", "AND",
     "[c:d:2]"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=40).map("".join) | st.text(max_size=60), st.integers(1, 30))
def test_any_text_has_a_text_for_every_step(prompt: str, steps: int) -> None:
    for part in read_prompt(prompt, steps).parts:
        ends = [last for last, _ in part.texts]
        assert ends == sorted(set(ends))
        assert ends[-1] == steps
        assert all(end >= 1 for end in ends)
        for _, text in part.texts:
            assert len(text) <= len(prompt)


@pytest.mark.parametrize("hostile", ["[", "(]", "([:", "[a:", "]", "[(", "<lora:", "\\"])
def test_hostile_prompts_are_read_quickly(hostile: str) -> None:
    with bounded(5.0):
        read_prompt(hostile * (90_000 // len(hostile)), 30)
        read_prompt("(" * 45_000 + "]" * 45_000, 30)


def test_too_many_changes_are_refused() -> None:
    with pytest.raises(EngineError, match="501 brackets that change"):
        read_prompt("[a|b]" * (MOST_CHANGES + 1), 10)
