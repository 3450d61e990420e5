"""styles.csv as A1111 writes it, and as people do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.words.prompt_language.styles import Style, in_styles, parse_styles

FILE = (
    "\ufeffname,prompt,negative_prompt\r\n"
    "-----,,\r\n"
    'Film,"film still of {prompt}, 35mm","blurry, {prompt}"\r\n'
    'Ink,"ink wash,\nblack ""and"" white",\r\n'
    "# off,x,y\r\n"
    "\r\n"
    "Short,only this\r\n"
)


def test_a1111s_file_with_its_mark_quotes_and_line_ends() -> None:
    styles, notes = parse_styles(FILE)
    assert styles == {
        "-----": Style(),
        "Film": Style("film still of {prompt}, 35mm", "blurry, {prompt}"),
        "Ink": Style('ink wash,\nblack "and" white'),
        "Short": Style("only this"),
    }
    assert notes == ()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), ("a fox", "bad")),
        (("Film",), ("film still of a fox, 35mm", "blurry, bad")),
        (("Short",), ("a fox, only this", "bad")),
        (("-----",), ("a fox", "bad")),
        (("Film", "Short"), ("film still of a fox, 35mm, only this", "blurry, bad")),
    ],
)
def test_prompts_in_styles(names: tuple[str, ...], expected: tuple[str, str]) -> None:
    assert in_styles("a fox", "bad", names, parse_styles(FILE)[0]) == expected


def test_an_empty_prompt_takes_the_style_alone() -> None:
    assert in_styles("", "", ("Short",), parse_styles(FILE)[0]) == ("only this", "")


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(EngineError, match=r"no style “film”\. Did you mean Film"):
        in_styles("a", "", ("film",), parse_styles(FILE)[0])


def test_other_orders_and_the_old_column() -> None:
    assert parse_styles("negative_prompt, prompt ,extra,name\nn,p,e,x\n")[0] == {
        "x": Style("p", "n")
    }
    assert parse_styles("name,text\nx,p\n")[0] == {"x": Style("p")}


def test_odd_rows_are_said_by_line() -> None:
    styles, notes = parse_styles("name,prompt,negative_prompt\nx,a,b,c\nx,d,\n")
    assert styles == {"x": Style("d")}
    assert ["line 2" in notes[0], "line 3" in notes[1], len(notes)] == [True, True, 2]


@pytest.mark.parametrize("text", ["", "a fox\n", "name;prompt\nx;y\n", "prompt\nx\n"])
def test_what_is_no_styles_file_is_refused(text: str) -> None:
    with pytest.raises(EngineError, match="first line must be name,prompt,negative_prompt"):
        parse_styles(text)


def test_a_field_without_end_is_refused() -> None:
    with pytest.raises(EngineError, match=r"line \d+ is no csv"):
        parse_styles('name,prompt\nx,"' + "a" * 200_000)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        styles, _ = parse_styles("name,prompt,negative_prompt\n" + text)
    except EngineError:
        return
    for name in styles:
        in_styles("a", "b", [name], styles)
