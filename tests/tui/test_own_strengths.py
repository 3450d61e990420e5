"""A strength of one's own and its range, as they are typed."""

from __future__ import annotations

import pytest

from engine.errors import EngineError
from engine.store.lora_words import LoraWords
from tui_loraswitch.screens.own_words import strengths_text, with_strengths


@pytest.mark.parametrize(
    ("text", "values", "shown"),
    [
        ("", (None, None, None), ""),
        ("0.8", (0.8, None, None), "0.8"),
        (" 0.8  0.4..1.2 ", (0.8, 0.4, 1.2), "0.8 0.4..1.2"),
        ("-1 -2 .. 0", (-1.0, -2.0, 0.0), "-1 -2..0"),
        ("0.4..1.2", (None, 0.4, 1.2), "0.4..1.2"),
    ],
)
def test_what_is_typed_is_read_and_shown_again(text, values, shown) -> None:
    words = with_strengths(LoraWords(), text)
    assert (words.strength, words.lowest, words.highest) == values
    assert strengths_text(words) == shown
    assert with_strengths(LoraWords(), shown) == words


@pytest.mark.parametrize("text", ["x", "0.8 1..2", "2..1", "0.8 0.4", "0.8..", "nan"])
def test_what_makes_no_sense_is_said(text: str) -> None:
    with pytest.raises(EngineError, match="strength"):
        with_strengths(LoraWords(), text)
