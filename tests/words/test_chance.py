"""Dynamic prompts: choices by a seed, wildcard files, bounds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.files.wildcards import Wildcards
from engine.words.prompt_language.chance import has_chance, resolve_chance

NONE = Wildcards(None)


def _all(text: str, wildcards: Wildcards = NONE, seeds: int = 200) -> Counter[str]:
    return Counter(resolve_chance(text, seed, wildcards.lines)[0] for seed in range(seeds))


@pytest.fixture
def wildcards(tmp_path: Path) -> Wildcards:
    (tmp_path / "birds" / "big").mkdir(parents=True)
    (tmp_path / "colours.txt").write_bytes(b"\xef\xbb\xbfred\r\n\r\n# no colour\r\nblue\r\n")
    (tmp_path / "birds" / "small.txt").write_text("wren\n")
    (tmp_path / "birds" / "big" / "all.txt").write_text("{grey|white} heron\n")
    (tmp_path / "loop.txt").write_text("a __loop__\n")
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "heavy.txt").write_text("9::often\n1::seldom\n")
    return Wildcards(tmp_path)


@pytest.mark.parametrize(
    ("text", "possible"),
    [
        ("a {red|blue} fox", {"a red fox", "a blue fox"}),
        ("{a|}", {"a", ""}),
        ("{a}", {"a"}),
        ("{a {b|c}|d}", {"a b", "a c", "d"}),
        ("{2$$a|b|c}", {"a, b", "a, c", "b, a", "b, c", "c, a", "c, b"}),
        ("{2$$ and $$a|b}", {"a and b", "b and a"}),
        ("{1-2$$ + $$a|b}", {"a", "b", "a + b", "b + a"}),
        ("{2-$$a|b}", {"a, b", "b, a"}),
        ("{-1$$a|b}", {"a", "b"}),
        ("{0-1$$a}", {"", "a"}),
        ("{2$$ | $$a|b}", {"a | b", "b | a"}),
        ("{3$$a}", {"a, a, a"}),
        ("{0::a|b}", {"b"}),
        ("{[a|b]|c}", {"[a|b]", "c"}),
        ("[a|b] | c", {"[a|b] | c"}),
        (r"\{a|b\}", {"{a|b}"}),
        ("<lora:{ink|neon}:{0.5|1}>", {
            "<lora:ink:0.5>", "<lora:ink:1>", "<lora:neon:0.5>", "<lora:neon:1>",
        }),
        ("a\n# {x|y}\nb", {"a\nb"}),
    ],
)  # fmt: skip
def test_every_choice_comes_and_no_other(text: str, possible: set[str]) -> None:
    assert set(_all(text)) == possible


def test_weights_count() -> None:
    found = _all("{3::a|b}", seeds=4000)
    assert found["a"] / found["b"] == pytest.approx(3, rel=0.15)
    assert 0.27 < _all("{0.5::a|b}", seeds=4000)["a"] / 4000 < 0.4


def test_a_seed_gives_the_same_text_for_ever() -> None:
    text = "{1-3$$a|b|c|d} {x|y|z} {0.2::p|q}"
    assert [resolve_chance(text, seed, NONE.lines)[0] for seed in (0, 7, 2**63)] == [
        resolve_chance(text, seed, NONE.lines)[0] for seed in (0, 7, 2**63)
    ]
    # Python promises this sequence for `random()`.
    assert resolve_chance("{a|b|c|d|e|f|g|h}", 7, NONE.lines)[0] == "c"


def test_wildcards(wildcards: Wildcards) -> None:
    assert set(_all("a __colours__ fox", wildcards)) == {"a red fox", "a blue fox"}
    assert set(_all("__birds/small__", wildcards)) == {"wren"}
    assert set(_all("__Birds/*__", wildcards)) == {"wren"}
    assert set(_all("__birds/**__", wildcards)) == {"wren", "grey heron", "white heron"}
    assert set(_all("__**/all__", wildcards)) == {"grey heron", "white heron"}
    assert set(_all("{2$$__colours__}", wildcards)) == {"red, blue", "blue, red"}
    assert set(_all("__colours____birds/small__", wildcards)) == {"redwren", "bluewren"}
    assert _all("__heavy__", wildcards)["often"] > 160


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("__colour__", "There is no wildcard “colour” in .*Did you mean colours"),
        ("__../secret__", "There is no wildcard"),
        ("__loop__", "may hold itself"),
        ("__empty__", "has no lines"),
        ("__latin__", "no UTF-8 text"),
        ("{" * 60 + "}" * 60, "nested deeper"),
        ("{999$$a}" * 11, "more than 10,000 choices"),
        ("{999$$" + "a" * 200 + "}", "grows beyond"),
    ],
)
def test_what_cannot_be_decided_is_refused(wildcards: Wildcards, text: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        resolve_chance(text, 1, wildcards.lines)


def test_a_wildcard_without_a_folder_is_refused() -> None:
    with pytest.raises(EngineError, match="--wildcards FOLDER"):
        resolve_chance("__colours__", 1, NONE.lines)


@pytest.mark.parametrize(
    ("text", "note"), [("a {b|c", "no closing brace"), ("a } b", "without an opening brace")]
)
def test_braces_without_partners_are_text_and_said(text: str, note: str) -> None:
    resolved, (said,) = resolve_chance(text, 1, NONE.lines)
    assert resolved == text
    assert note in said


def test_other_ways_to_choose_are_chance_and_said() -> None:
    """Dynamic Prompts' signs: `~` is chance, `@` takes options in turn, `!` makes all prompts."""
    for sign in "@!":
        assert set(_all(f"{{{sign}red|blue}} fox")) == {"red fox", "blue fox"}
        _, (note,) = resolve_chance(f"{{{sign}red|blue}} fox", 1, NONE.lines)
        assert note.startswith(f"“{sign}” in “{{{sign}red|blue}}” is not known here")
    assert set(_all("{~2$$red|blue}")) == {"red, blue", "blue, red"}
    assert set(_all("{~red|blue}")) == {"red", "blue"}
    assert resolve_chance("{~red|blue}", 1, NONE.lines)[1] == ()
    assert set(_all("{@_@|!?|~}")) == {"@_@", "!?", "~"}, "faces and signs stay as they are"


def test_plain_prompts_have_no_chance() -> None:
    for text in ("a (fox:1.2), [a|b]", "snake_case", "5 _ _ x", "_____", "colour #3"):
        assert not has_chance(text)
        assert resolve_chance(text, 1, NONE.lines) == (text, ())


_PIECES = st.sampled_from(["{", "}", "[", "]", "|", "a", "2$$", "1-2$$", "0.5::", "\\", "#", "\n"])


def test_variables_are_said_and_notes_are_few() -> None:
    text, (note,) = resolve_chance("a ${x=red} fox", 1, NONE.lines)
    assert text == "a $x=red fox"
    assert note == "“${x=red}” is taken as text: variables are not known here."
    assert resolve_chance("a fox\n# ${x=red}", 1, NONE.lines)[1] == ()
    assert resolve_chance("__c__", 1, lambda name: ["${x=red}"]) == ("$x=red", (note,))
    many = "".join(f"${{x{number}}}" for number in range(90))
    assert len(resolve_chance(many, 1, NONE.lines)[1]) == 20


@given(st.lists(_PIECES, max_size=30).map("".join) | st.text(max_size=50), st.integers(0, 2**64))
def test_any_text_is_decided_or_refused(text: str, seed: int) -> None:
    try:
        first = resolve_chance(text, seed, lambda name: [f"<{name}>"])
    except EngineError:
        return
    assert resolve_chance(text, seed, lambda name: [f"<{name}>"]) == first


@pytest.mark.parametrize(
    "name", ["..", ".", "/", "/etc/x", "[", "*[", "**/**/**/**/none", "a\\b", "a\0b"]
)
def test_odd_names_of_wildcards_are_not_there(wildcards: Wildcards, name: str) -> None:
    with pytest.raises(EngineError, match="There is no wildcard"):
        wildcards.lines(name)
