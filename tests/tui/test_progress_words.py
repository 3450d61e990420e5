"""How far a picture is, in the room that there is."""

from __future__ import annotations

import pytest

from engine.protocol.view import Drawing
from tui_loraswitch.panes.picture import progress_words


@pytest.mark.parametrize(
    ("most", "words"),
    [
        (80, " 20/56 · 5.9 s · 10.6 s left · pass 1 of 2"),
        (34, " 20/56 · 10.6 s left · pass 1 of 2"),
        (30, " 20/56 · 10.6 s left · pass 1"),
        (10, " 20/56 · 10.6 s left · pass 1"),
    ],
)
def test_what_is_known_longest_is_left_out_first(most: int, words: str) -> None:
    assert progress_words(Drawing(20, 56, 5.9, number=1, passes=2), most) == words
