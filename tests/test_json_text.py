"""JSON of strangers is parsed within bounds; what is wrong with it is a `ValueError` in words."""

from __future__ import annotations

import math

import pytest

from engine.files.json_text import MAX_VALUES, parse_json
from engine.generate.infotext.json_values import read_json
from tests.support.bounds import bounded

HUGE = "9" * 5000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2.5, null, "é"]}', {"a": [1, 2.5, None, "é"]}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ("9" * 4000, int("9" * 4000)),
        (f'{{"a": {HUGE}, "b": [-{HUGE}], "c": 7}}', {"a": math.inf, "b": [math.inf], "c": 7}),
    ],
)
def test_sound_texts(text: str | bytes, value: object) -> None:
    assert parse_json(text) == value


def test_a_number_of_thousands_of_digits_is_the_same_in_a_picture_s_words() -> None:
    assert read_json(HUGE) == parse_json(HUGE) == math.inf


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("[" + "[]," * 10_000_000 + "1]", f"more than {MAX_VALUES:,} values"),
        ("[" + "1," * 10_000_000 + "1]", f"more than {MAX_VALUES:,} values"),
        ("{", ""),
        ("", ""),
        (b"\xff\xfe{\0}\0", ""),
        ("{}".encode("utf-16-le"), ""),
    ],
)
def test_all_others(text: str | bytes, words: str) -> None:
    with bounded(1.0, 100), pytest.raises(ValueError, match=words or None):
        parse_json(text)
