"""Prompt embeddings: equal to diffusers' for plain prompts, and right where it has none."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from engine.errors import EngineError
from engine.generate.encode import (
    EmbeddingsCache,
    PromptEmbeddings,
    emphasize,
    encode,
    encode_texts,
)
from engine.words.prompt import parse_prompt


def encode_text(pipe: Any, text: str, **options: Any) -> PromptEmbeddings:
    tokenizers = (pipe.tokenizer, pipe.tokenizer_2)
    encoders = (pipe.text_encoder, pipe.text_encoder_2)
    return encode(parse_prompt(text), tokenizers, encoders, **options)


@pytest.mark.parametrize(
    "prompt",
    ["", "a red fox", "A  Red\tfox, cat: 12:30!", "狐 im schönen Wald", " ".join(["red"] * 75)],
)
@pytest.mark.parametrize("clip_skip", [1, 2, 3])
def test_plain_prompts_equal_diffusers_exactly(pipe: Any, prompt: str, clip_skip: int) -> None:
    with torch.no_grad():
        states, negative, pooled, negative_pooled = pipe.encode_prompt(
            prompt, negative_prompt="a cat", clip_skip=None if clip_skip < 3 else clip_skip - 2
        )
    ours = encode_text(pipe, prompt, clip_skip=clip_skip)
    assert torch.equal(ours.states, states)
    assert torch.equal(ours.pooled, pooled)
    if clip_skip < 3:
        # diffusers applies clip skip to the prompt alone.
        theirs = encode_text(pipe, "a cat", clip_skip=clip_skip)
        assert torch.equal(theirs.states, negative)
        assert torch.equal(theirs.pooled, negative_pooled)


def test_prompts_of_any_length_are_read_in_chunks(
    pipe: Any, caplog: pytest.LogCaptureFixture
) -> None:
    head, tail = " ".join(["red"] * 75), "fox cat"
    with caplog.at_level(logging.WARNING):
        long = encode_text(pipe, f"{head} {tail}")
    assert long.states.shape == (1, 154, 24)
    torch.testing.assert_close(long.states[:, :77], encode_text(pipe, head).states)
    torch.testing.assert_close(long.states[:, 77:], encode_text(pipe, tail).states)
    torch.testing.assert_close(long.pooled, encode_text(pipe, head).pooled)
    assert caplog.records == []


def test_break_starts_a_new_chunk(pipe: Any) -> None:
    broken = encode_text(pipe, "red BREAK fox")
    torch.testing.assert_close(broken.states[:, :77], encode_text(pipe, "red").states)
    torch.testing.assert_close(broken.states[:, 77:], encode_text(pipe, "fox").states)


def test_texts_of_one_picture_get_as_many_chunks(pipe: Any) -> None:
    positive, negative = encode_texts(pipe, ["red BREAK fox BREAK cat", "cat"])
    assert positive.states.shape == negative.states.shape == (1, 231, 24)
    empty = encode_text(pipe, "").states
    torch.testing.assert_close(negative.states[:, 154:], empty)
    torch.testing.assert_close(negative.pooled, encode_text(pipe, "cat").pooled)


@pytest.mark.parametrize("negative", ["", " \n", "<lora:ink:1>"])
def test_an_empty_negative_prompt_is_zeros(pipe: Any, negative: str) -> None:
    """As A1111, Forge and diffusers have it for SDXL: states and pooled vector."""
    positive, found = encode_texts(pipe, ["red BREAK fox", negative])
    assert found.states.shape == positive.states.shape == (1, 154, 24)
    assert found.pooled.shape == positive.pooled.shape
    assert not found.states.any()
    assert not found.pooled.any()
    with torch.no_grad():
        pipe.register_to_config(force_zeros_for_empty_prompt=True)
        _, states, _, pooled = pipe.encode_prompt("red")
        pipe.register_to_config(force_zeros_for_empty_prompt=False)
    assert torch.equal(found.states[:, :77], states)
    assert torch.equal(found.pooled, pooled)


def test_only_what_is_empty_is_zeros(pipe: Any) -> None:
    empty = encode_text(pipe, "")
    assert torch.equal(encode_texts(pipe, [""])[0].states, empty.states), "a prompt is encoded"
    for text, options in (("", {"empty_negative": "encoded"}), ("()", {}), ("BREAK", {})):
        _, negative = encode_texts(pipe, ["red", text], **options)
        assert torch.equal(negative.states, empty.states), text
        assert torch.equal(negative.pooled, empty.pooled), text


def test_the_way_of_an_empty_negative_is_no_matter_of_the_cache(pipe: Any) -> None:
    cache = EmbeddingsCache()
    for _ in range(2):
        assert not encode_texts(pipe, ["", ""], cache=cache)[1].states.any()
        _, encoded = encode_texts(pipe, ["", ""], cache=cache, empty_negative="encoded")
        assert encoded.states.any()


def test_weights_multiply_tokens_and_keep_the_mean(pipe: Any) -> None:
    plain = encode_text(pipe, "a red fox")
    weighted = encode_text(pipe, "a (red:1.5) fox")
    for encoder in (slice(0, 8), slice(8, 24)):
        before, after = plain.states[0, :, encoder], weighted.states[0, :, encoder]
        torch.testing.assert_close(after.mean(), before.mean())
        ratio = (after / before).mean(dim=1)
        torch.testing.assert_close(ratio / ratio[0], torch.tensor([1.0, 1, 1.5] + [1.0] * 74))
    assert torch.equal(weighted.pooled, plain.pooled)


def test_a_mean_near_zero_never_turns_the_states_around() -> None:
    states = torch.tensor([[[1.0], [-0.9]]])
    for weight in (2.0, 1.2):
        weighted = emphasize(states, torch.tensor([[1.0, weight]]))
        torch.testing.assert_close(weighted, torch.tensor([[[1.0], [-0.9 * weight]]]))


def test_weights_of_one_change_nothing(pipe: Any) -> None:
    plain = encode_text(pipe, "a red fox")
    assert torch.equal(encode_text(pipe, "a (red:1) fox").states, plain.states)
    assert torch.equal(encode_text(pipe, "a red fox <lora:ink:0.5>").states, plain.states)
    assert not torch.equal(encode_text(pipe, "a [red] fox").states, plain.states)


def test_weights_leave_other_chunks_alone(pipe: Any) -> None:
    plain, weighted = encode_text(pipe, "red BREAK fox"), encode_text(pipe, "red BREAK (fox)")
    assert torch.equal(plain.states[:, :77], weighted.states[:, :77])
    assert not torch.equal(plain.states[:, 77:], weighted.states[:, 77:])


def test_clip_skip_beyond_the_layers_is_refused(pipe: Any) -> None:
    encode_text(pipe, "fox", clip_skip=4)
    with pytest.raises(EngineError, match="Clip skip 5"):
        encode_text(pipe, "fox", clip_skip=5)


def test_cache_spares_the_text_encoders(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = EmbeddingsCache()
    first = encode_texts(pipe, ["red", "red"], cache=cache)
    assert first[0] is first[1]
    monkeypatch.setattr(pipe.text_encoder, "forward", None)
    assert encode_texts(pipe, ["red"], cache=cache)[0] is first[0]
    monkeypatch.undo()
    assert encode_texts(pipe, ["red"], clip_skip=3, cache=cache)[0] is not first[0]
    longer = encode_texts(pipe, ["red", "fox BREAK cat"], cache=cache)
    assert longer[0].states.shape == (1, 154, 24)
    cache.clear()
    assert len(cache) == 0
    assert encode_texts(pipe, ["red"], cache=cache)[0] is not first[0]


def test_cache_forgets_what_was_unused_for_longest() -> None:
    cache = EmbeddingsCache(capacity=2)
    entry = PromptEmbeddings(torch.zeros(1), torch.zeros(1))
    for text in ("a", "b"):
        cache.put((text, 1, 2), entry)
    assert cache.get(("a", 1, 2)) is entry
    cache.put(("c", 1, 2), entry)
    assert cache.get(("b", 1, 2)) is None
    assert cache.get(("a", 1, 2)) is entry
    assert len(cache) == 2
