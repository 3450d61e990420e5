"""Prompts over the calls of a sampler: editing, turns, AND, and what stands for nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from engine.embeddings.vocabulary import NO_EMBEDDINGS
from engine.generate.encode import encode_texts
from engine.generate.guidance import EncodedPrompts, encode_prompts
from engine.protocol.request import GenerateRequest


def encoded(pipe: Any, request: GenerateRequest, calls: int) -> EncodedPrompts:
    return encode_prompts(pipe, request, calls, None, NO_EMBEDDINGS)


def words_at(pipe: Any, prompts: EncodedPrompts, calls: int, *texts: str) -> list[str]:
    """Which of the texts each call reads."""
    known = {text: encode_texts(pipe, [text])[0].states for text in texts}

    def word(call: int) -> str:
        ((read, _),) = prompts(call).prompts
        return next(text for text in texts if torch.allclose(known[text], read.states, atol=1e-6))

    return [word(call) for call in range(calls)]


@pytest.mark.parametrize(
    ("prompt", "steps", "calls", "read"),
    [
        ("[red:cat:0.5]", 4, 4, ["red", "red", "cat", "cat"]),
        ("[red:cat:1]", 3, 3, ["red", "cat", "cat"]),
        ("[red|cat]", 4, 4, ["red", "cat", "red", "cat"]),
        # With two calls a step, A1111 counts calls.
        ("[red:cat:0.5]", 2, 3, ["red", "red", "cat"]),
        ("[red|cat]", 2, 3, ["red", "cat", "red"]),
        # A sampler that calls more often than was foreseen stays with the last text.
        ("[red:cat:0.5]", 2, 2, ["red", "cat", "cat", "cat"]),
    ],
)
def test_prompts_are_read_call_by_call(
    pipe: Any, request_of: Any, prompt: str, steps: int, calls: int, read: list[str]
) -> None:
    prompts = encoded(pipe, request_of(prompt=prompt, steps=steps, cfg_scale=1), calls)
    assert words_at(pipe, prompts, len(read), "red", "cat") == read
    assert prompts(0).negative is None


def test_and_joins_parts_with_weights(pipe: Any, request_of: Any) -> None:
    request = request_of(prompt="red :0.5 AND cat BREAK fox <lora:ink:1>", negative_prompt="fox")
    prompts = encoded(pipe, request, 3)
    guidance = prompts(0)
    assert [weight for _, weight in guidance.prompts] == [0.5, 1.0]
    shapes = {text.states.shape for text, _ in guidance.prompts}
    assert guidance.negative is not None
    assert shapes == {guidance.negative.states.shape} == {(1, 154, 24)}


def test_an_empty_negative_is_zeros_only_where_it_is_empty(pipe: Any, request_of: Any) -> None:
    request = request_of(prompt="[red::0.5]", negative_prompt="[:cat:0.5]", steps=2)
    first, second = (encoded(pipe, request, 2)(call) for call in (0, 1))
    assert first.negative is not None
    assert second.negative is not None
    assert not first.negative.states.any()
    assert second.negative.states.any()
    assert second.prompts[0][0].states.any(), "an empty prompt is encoded"


def test_what_is_not_understood_is_said(pipe: Any, request_of: Any) -> None:
    request = request_of(prompt="[red:cat:soon]", negative_prompt="[a:b|c:2]")
    assert len(encoded(pipe, request, 3).notes) == 2


def test_pictures_follow_their_prompts(draw: Any, request_of: Any) -> None:
    def pixels(prompt: str, **settings: Any) -> np.ndarray:
        (picture,) = draw(request_of(prompt=prompt, steps=4, **settings))
        return np.asarray(picture.image, float)

    assert np.array_equal(pixels("[red:cat:0.0]"), pixels("cat"))
    assert np.array_equal(pixels("[red:cat:4]"), pixels("red"))
    for edited in ("[red:cat:0.5]", "[red|cat]", "red AND cat", "red AND cat :-0.5"):
        for plain in ("red", "cat"):
            assert not np.array_equal(pixels(edited), pixels(plain))
    assert np.abs(pixels("red AND red :0") - pixels("red")).max() <= 1
    assert not np.array_equal(
        pixels("red AND cat", cfg_scale=1),
        pixels("red AND cat", cfg_scale=1, negative_prompt="fox"),
    )
