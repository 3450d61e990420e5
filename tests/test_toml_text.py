"""TOML of anybody is parsed within bounds; what is wrong with it is a `ValueError` in words."""

from __future__ import annotations

import pytest

from engine.files.toml_text import MAX_DEPTH, parse_toml
from tests.support.bounds import bounded

DOTS = "a." * 100_000
VERSE = "one. " * 500


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b = 1", {"a": {"b": 1}}),
        (".".join("a" * (MAX_DEPTH - 1)) + " = 1", None),
        (f'a = "{VERSE}"', {"a": VERSE}),
        (f"a = '{VERSE}'", {"a": VERSE}),
        (f'a = """x\n{VERSE}"""', {"a": f"x\n{VERSE}"}),
        (f"a = '''x\n{VERSE}'''", {"a": f"x\n{VERSE}"}),
        (f"# {VERSE}\na = 1", {"a": 1}),
        (f"a = [{'1.5, ' * 500}]", {"a": [1.5] * 500}),
        ('a = "\\\\"\nb = 2', {"a": "\\", "b": 2}),
        ("", {}),
    ],
)
def test_sound_texts(text: str, value: object) -> None:
    found = parse_toml(text)
    assert value is None or found == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"\n{DOTS}a = 1", "line 2 is nested too deeply"),
        (f"[{DOTS}a]", "line 1 is nested too deeply"),
        (f'x = """\n{VERSE}"""\ny = {{ {DOTS}a = 1 }}', "line 3 is nested too deeply"),
        ('"a".' * 100_000 + '"a" = 1', "line 1 is nested too deeply"),
        ("a . " * 100_000 + "a = 1", "line 1 is nested too deeply"),
        ("x = " + "[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ("x = " + "{a=" * 100_000, "nested too deeply"),
        ("x = " + "9" * 5000, "a number of thousands of digits"),
        ("a = ", r"\(at end of document\)"),
        ("\na b", "line 2"),
        ("a" * 1_000_000, ""),
        ('"""' * 300_001, ""),
        ('"\\' * 300_000, ""),
        ("'" * 300_001, ""),
        ('"""\\' * 100_000, ""),
        ("''" * 100_000 + "x", ""),
    ],
)
def test_all_others(text: str, words: str) -> None:
    with bounded(2.0, 200), pytest.raises(ValueError, match=words or None):
        parse_toml(text)
