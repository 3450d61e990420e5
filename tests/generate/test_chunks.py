"""How prompts are cut into chunks: A1111's rules, counted in tokens of the demo's tokenizer."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.embeddings.inversion import TextualInversion
from engine.embeddings.vocabulary import NO_EMBEDDINGS, Vocabulary
from engine.errors import EngineError
from engine.generate.chunks import MOST_CHUNKS, cut_chunks
from engine.words.prompt import parse_prompt
from tests.generate.conftest import make_tokenizer

TOKENIZER = make_tokenizer("!")


def sizes(text: str, vocabulary: Vocabulary = NO_EMBEDDINGS) -> list[int]:
    return [len(chunk) for chunk in cut_chunks(parse_prompt(text), TOKENIZER, vocabulary, "clip_l")]


def reference(text: str) -> list[int]:
    """A1111's comma padding by its description, for a text without brackets, tags and BREAKs."""
    ids = TOKENIZER(text, add_special_tokens=False).input_ids
    (comma,) = TOKENIZER(",", add_special_tokens=False).input_ids
    found, start = [], 0
    while len(ids) - start > 75:
        window = ids[start : start + 75]
        near = [place for place in range(55, 75) if window[place] == comma]
        # A comma that would come next stays with what it follows as little as A1111 has it.
        cut = near[-1] + 1 if near and ids[start + 75] != comma else 75
        found.append(cut)
        start += cut
    return [*found, len(ids) - start]


words = st.sampled_from(["red", "fox", "cat", "red,", "fox,", ",", "cat, red"])


@given(st.lists(words, max_size=400).map(" ".join))
def test_chunks_end_behind_a_comma_near_their_end(text: str) -> None:
    assert sizes(text) == reference(text)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (54, [75, 10]),  # 21 tokens with the comma: too far back
        (55, [56, 29]),
        (74, [75, 10]),
        (75, [75, 10]),  # the comma itself starts the next chunk
        (0, [75, 10]),
    ],
)
def test_twenty_tokens_are_taken_along_at_most(before: int, expected: list[int]) -> None:
    words = ["red"] * before + [","] + ["fox"] * 85
    assert sizes(" ".join(words[:85])) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [0]),
        ("red", [1]),
        ("red BREAK", [1]),
        ("BREAK", [0]),
        ("BREAK red", [0, 1]),
        ("red BREAK BREAK fox", [1, 0, 1]),
        ("red BREAK fox BREAK", [1, 1]),
        ("red BREAK BREAK", [1, 0]),
        ("(red BREAK fox:1.2) cat", [1, 2]),
        ("red, " * 10 + "BREAK " + "fox " * 75 + "cat", [20, 75, 1]),
        ("()", [0]),
    ],
)
def test_break_starts_a_chunk_when_something_follows(text: str, expected: list[int]) -> None:
    assert sizes(text) == expected


def inversion(vectors: int) -> Vocabulary:
    table = torch.ones(vectors, 8)
    return Vocabulary({"hero": TextualInversion("hero", table, table, "0" * 64)})


@pytest.mark.parametrize(
    ("text", "vectors", "expected"),
    [
        ("red " * 70 + "hero", 5, [75]),
        ("red " * 70 + "hero", 6, [70, 6]),
        ("red " * 60 + ", " + "red " * 9 + "hero", 6, [70, 6]),
        ("red " * 60 + ", hero " + "fox " * 9 + "cat", 5, [61, 15]),
        ("hero", 75, [75]),
    ],
)
def test_inversions_stay_whole_and_move_behind_a_comma(
    text: str, vectors: int, expected: list[int]
) -> None:
    assert sizes(text, inversion(vectors)) == expected


def test_weights_and_vectors_move_with_their_tokens() -> None:
    chunks = cut_chunks(
        parse_prompt("red " * 60 + ", (fox:1.5) hero " + "cat " * 20),
        TOKENIZER,
        inversion(3),
        "clip_g",
    )
    assert [len(chunk) for chunk in chunks] == [61, 24]
    assert chunks[1][0].weight == 1.5
    assert [token.vector is not None for token in chunks[1][:5]] == [False, True, True, True, False]


@pytest.mark.parametrize("text", ["red " * 75 * MOST_CHUNKS, "red BREAK " * MOST_CHUNKS])
def test_a_prompt_of_too_many_chunks_is_refused(text: str) -> None:
    assert len(sizes(text)) == MOST_CHUNKS
    with pytest.raises(EngineError, match=f"more than {MOST_CHUNKS} chunks"):
        sizes(text + " fox" if "BREAK" in text else text + "fox")


@pytest.mark.parametrize("unit", [" ", ",", "1", "a", "ab1 ", "'s", "狐", "😀", "embedding:x "])
def test_long_texts_are_cut_or_refused_without_hanging(unit: str) -> None:
    text = (unit * 100_000)[:100_000]
    with suppress(EngineError):
        sizes(text)


def test_the_second_text_encoder_has_its_own_comma() -> None:
    class Renumbered:
        """The same words under other numbers."""

        model_max_length = 77

        def __call__(self, text: str, **options: Any) -> Any:
            found = TOKENIZER(text, **options)
            found["input_ids"] = [number + 1000 for number in found["input_ids"]]
            return found

    text = " ".join(["red"] * 60 + [","] + ["fox"] * 20)
    chunks = cut_chunks(parse_prompt(text), Renumbered(), NO_EMBEDDINGS, "clip_g")
    assert [len(chunk) for chunk in chunks] == [61, 20]
