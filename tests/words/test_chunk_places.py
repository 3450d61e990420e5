"""Tokens are counted as the engine counts them, with transformers' tokenizer, when it draws."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.checkpoint.tokenizers import CLIP_VOCABULARY, open_tokenizers
from engine.embeddings.vocabulary import NO_EMBEDDINGS
from engine.generate.chunks import cut_chunks
from engine.words.chunk_places import ROOM, chunk_places
from engine.words.clip_tokens import clip_tokens
from engine.words.prompt import parse_prompt

_PLAIN = ["a", "fox", "masterpiece", "ultra-detailed", ",", ",", "1girl", "it's", "x:y", "BREAK"]
_ODD = ["(b))", "\\\\(x)", "<b>", "<hypernet:x:1>", "[a:0.5]", "(\\)", "(a\\):1.1)"]
_MARKED = ["(neon:1.2)", "[dim]", "((glow))", "<lora:ink:0.8>", "\\(series\\)", "(a, b:0.7)"]
WORDS = st.sampled_from([*_PLAIN, *_MARKED, *_ODD, "“quoted”", "雪", "🦊", "naïve"])


@pytest.fixture(scope="module")
def tokenizer():
    return open_tokenizers(Path(), "CLIP", CLIP_VOCABULARY)[0]


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_tokens_are_as_many_as_transformers_makes(tokenizer, text):
    assert len(clip_tokens(text)) == len(tokenizer(text, add_special_tokens=False).input_ids)


@given(st.lists(WORDS, max_size=130))
@settings(max_examples=60, deadline=None)
def test_chunks_are_those_that_are_drawn_with(tokenizer, words):
    prompt = " ".join(words)
    drawn = parse_prompt(prompt.replace("<lora:ink:0.8>", ""))
    expected = [len(chunk) for chunk in cut_chunks(drawn, tokenizer, NO_EMBEDDINGS, "clip_l")]
    assert [chunk.tokens for chunk in chunk_places(prompt)] == expected


def test_a_chunk_is_known_by_its_first_character():
    prompt = "fox " * ROOM + "owl BREAK hen"
    first, second, third = chunk_places(prompt)
    assert (first.tokens, first.start) == (ROOM, 0)
    assert prompt[second.start :].startswith("owl")
    assert prompt[third.start :].startswith("hen")
