"""Which words of a text name a textual inversion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.embeddings.words import Named, split_at_names

NAMES = ("twig", "twig hat", "sub/twig", "Bad-Hands_v2", "v1.5 (old)", "ｆｏｘ")


def found(text: str) -> list[str]:
    """The text with each name in `<>`, and unknown ones in `<!>`."""
    return [
        item if isinstance(item, str) else f"<{'' if item.known else '!'}{item.name}>"
        for item in split_at_names(text, NAMES)
        if item
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a fox", ["a fox"]),
        ("twig", ["<twig>"]),
        ("a Twig, TWIG.", ["a ", "<twig>", ", ", "<twig>", "."]),
        ("twigs a_twig twig2 twig-like", ["twigs a_twig twig2 twig-like"]),
        ("a twig hat", ["a ", "<twig hat>"]),
        ("a twig's hat", ["a ", "<twig>", "'s hat"]),
        ("bad-hands_V2", ["<Bad-Hands_v2>"]),
        ("v1.5 (old) v1x5 (old)", ["<v1.5 (old)>", " v1x5 (old)"]),
        ("embedding:twig", ["<twig>"]),
        ("Embedding:Twig.safetensors, b", ["<twig>", ", b"]),
        ("embedding:twig.pt embedding:twig.bin", ["<twig>", " ", "<twig>"]),
        ("twig.pt", ["<twig>", ".pt"]),
        ("embedding:sub/twig b", ["<sub/twig>", " b"]),
        ("embedding:twig hat", ["<twig hat>"]),
        ("embedding:twigs b", ["<!twigs>", " b"]),
        ("embedding: twig", ["embedding: ", "<twig>"]),
        ("embedding:gone, b", ["<!gone>", ", b"]),
        ("myembedding:twig", ["myembedding:", "<twig>"]),
        ("ein ｆｏｘ", ["ein ", "<ｆｏｘ>"]),
        ("狐twig", ["狐twig"]),
    ],
)
def test_names_are_words_or_follow_the_prefix(text: str, expected: list[str]) -> None:
    assert found(text) == expected


@given(
    st.lists(st.text(alphabet="aAbıſßİ\\(|.* :_-", min_size=1, max_size=4), max_size=5),
    st.text(alphabet="aAbıſßİ\\(|.* :_-", max_size=30),
)
def test_any_names_in_any_text_leave_the_rest_as_it_was(names: list[str], text: str) -> None:
    rest = text
    for item in split_at_names(text, names):
        if isinstance(item, Named):
            assert item.name in names
            assert item.known
            rest = rest[len(item.name) :]
        else:
            assert rest.startswith(item)
            rest = rest[len(item) :]
    assert rest == ""
