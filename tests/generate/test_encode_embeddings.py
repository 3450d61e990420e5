"""Textual inversions in a prompt: as diffusers reads them, without touching the text encoders."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import save_file

from engine.embeddings.inject import injected, token_widths
from engine.embeddings.store import EmbeddingStore
from engine.embeddings.vocabulary import Vocabulary
from engine.generate.encode import EmbeddingsCache, PromptEmbeddings, encode_texts
from engine.generate.infotext import ModelUsed, describe_picture, parse_infotext, write_infotext

WIDTHS = (8, 16)


def tensors(count: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    draw = (torch.randn(count, width, generator=generator) for width in WIDTHS)
    return dict(zip(("clip_l", "clip_g"), draw, strict=True))


@pytest.fixture
def twig(tmp_path: Path) -> Callable[[int], Vocabulary]:
    """Write an inversion `twig` of some vectors, and find it."""

    def make(count: int, seed: int = 0) -> Vocabulary:
        save_file(tensors(count, seed), tmp_path / "twig.safetensors")
        vocabulary = EmbeddingStore().find(["twig"], WIDTHS, [tmp_path])
        assert vocabulary.warnings == ()
        return vocabulary

    return make


def encode(pipe: Any, text: str, vocabulary: Vocabulary, **options: Any) -> PromptEmbeddings:
    (embeddings,) = encode_texts(pipe, [text], vocabulary=vocabulary, **options)
    return embeddings


def with_diffusers(pipe: Any, count: int) -> StableDiffusionXLPipeline:
    """A copy of the pipeline whose tables diffusers has extended by `twig`."""
    own = copy.deepcopy(pipe)
    vectors = tensors(count)
    for role, encoder, tokenizer in (
        ("clip_l", own.text_encoder, own.tokenizer),
        ("clip_g", own.text_encoder_2, own.tokenizer_2),
    ):
        own.load_textual_inversion(
            {"twig": vectors[role]}, token="twig", text_encoder=encoder, tokenizer=tokenizer
        )
    return own


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("prompt", ["twig", "a red twig, fox", "twig cat twig"])
def test_equals_diffusers_exactly(
    pipe: Any, twig: Callable[[int], Vocabulary], count: int, prompt: str
) -> None:
    own = with_diffusers(pipe, count)
    with torch.no_grad():
        states, _, pooled, _ = own.encode_prompt(prompt, do_classifier_free_guidance=False)
    ours = encode(pipe, prompt, twig(count))
    assert torch.equal(ours.states, states)
    assert torch.equal(ours.pooled, pooled)
    assert not torch.equal(ours.states, encode(pipe, prompt, Vocabulary()).states)


def test_equals_diffusers_in_half_precision(
    half_pipe: Any, twig: Callable[[int], Vocabulary]
) -> None:
    own = with_diffusers(half_pipe, 2)
    with torch.no_grad():
        states, _, pooled, _ = own.encode_prompt("a twig", do_classifier_free_guidance=False)
    ours = encode(half_pipe, "a twig", twig(2))
    assert ours.states.dtype == torch.float16
    assert torch.equal(ours.states, states)
    assert torch.equal(ours.pooled, pooled)


def test_the_widths_are_those_of_the_token_embeddings(pipe: Any) -> None:
    assert token_widths(pipe) == WIDTHS


def test_comfys_prefix_means_the_same(pipe: Any, twig: Callable[[int], Vocabulary]) -> None:
    vocabulary = twig(2)
    bare = encode(pipe, "a (twig:1.3) fox", vocabulary)
    prefixed = encode(pipe, "a (embedding:twig:1.3) fox", vocabulary)
    assert torch.equal(bare.states, prefixed.states)


def test_a_weight_counts_for_all_vectors_of_the_word(
    pipe: Any, twig: Callable[[int], Vocabulary]
) -> None:
    vocabulary = twig(3)
    plain = encode(pipe, "a twig fox", vocabulary).states[0, :, :8]
    weighted = encode(pipe, "a (twig:1.5) fox", vocabulary).states[0, :, :8]
    ratio = (weighted / plain).mean(dim=1)
    expected = torch.tensor([1.0, 1.0, 1.5, 1.5, 1.5] + [1.0] * 72)
    torch.testing.assert_close(ratio / ratio[0], expected)


def test_each_vector_takes_a_place_and_a_word_is_never_cut_apart(
    pipe: Any, twig: Callable[[int], Vocabulary]
) -> None:
    vocabulary = twig(3)
    words = " ".join(["red"] * 72)
    assert encode(pipe, f"{words} twig", vocabulary).states.shape == (1, 77, 24)
    # Three places are needed and two are left: the word goes to the next chunk as a whole.
    long = encode(pipe, f"{words} red twig fox", vocabulary)
    assert long.states.shape == (1, 154, 24)
    first, second = encode(pipe, f"{words} red", vocabulary), encode(pipe, "twig fox", vocabulary)
    torch.testing.assert_close(long.states[:, :77], first.states)
    torch.testing.assert_close(long.states[:, 77:], second.states)
    broken = encode(pipe, "red BREAK twig", vocabulary)
    torch.testing.assert_close(broken.states[:, 77:], encode(pipe, "twig", vocabulary).states)


def test_both_texts_of_a_picture_take_as_many_chunks(
    pipe: Any, twig: Callable[[int], Vocabulary]
) -> None:
    texts = ["red", "twig " * 2]
    positive, negative = encode_texts(pipe, texts, vocabulary=twig(40))
    assert positive.states.shape == negative.states.shape == (1, 154, 24)


def test_the_text_encoders_stay_as_they_are(pipe: Any, twig: Callable[[int], Vocabulary]) -> None:
    encoders = (pipe.text_encoder, pipe.text_encoder_2)
    before = [{k: v.clone() for k, v in encoder.state_dict().items()} for encoder in encoders]
    encode(pipe, "a twig", twig(2))
    for encoder, weights in zip(encoders, before, strict=True):
        after = encoder.state_dict()
        assert after.keys() == weights.keys()
        assert all(torch.equal(after[name], weight) for name, weight in weights.items())
    table = pipe.text_encoder.get_input_embeddings()
    assert not table._forward_hooks


def test_a_fault_while_encoding_leaves_nothing_behind(pipe: Any) -> None:
    table = pipe.text_encoder.get_input_embeddings()
    beyond = [(0, 99, torch.ones(8))]
    with pytest.raises(IndexError), injected(pipe.text_encoder, beyond):
        pipe.text_encoder(torch.zeros(1, 77, dtype=torch.long))
    assert not table._forward_hooks


def test_cache_knows_other_vectors_under_the_same_name(
    pipe: Any, twig: Callable[..., Vocabulary]
) -> None:
    cache = EmbeddingsCache()
    first = encode(pipe, "a twig", twig(2), cache=cache)
    assert encode(pipe, "a twig", twig(2), cache=cache) is first
    changed = encode(pipe, "a twig", twig(2, seed=1), cache=cache)
    assert not torch.equal(changed.states, first.states)
    gone = encode(pipe, "a twig", Vocabulary(), cache=cache)
    assert torch.equal(gone.states, encode(pipe, "a twig", Vocabulary()).states)
    assert encode(pipe, "a fox", twig(2), cache=cache) is encode(
        pipe, "a fox", Vocabulary(), cache=cache
    )


def test_the_picture_tells_what_it_used(request_of: Any, twig: Callable[[int], Vocabulary]) -> None:
    vocabulary = twig(1)
    info = describe_picture(
        request_of(prompt="a twig"), 7, model=ModelUsed("tiny"), embedding_hashes=vocabulary.hashes
    )
    ((name, value),) = vocabulary.hashes
    text = write_infotext(info)
    assert f'TI hashes: "{name}: {value}"' in text
    assert parse_infotext(text).embedding_hashes == vocabulary.hashes


@pytest.mark.parametrize("with_vectors", [True, False])
def test_output_embeddings_stand_in_the_states(
    pipe: Any, tmp_path: Path, with_vectors: bool
) -> None:
    """As OneTrainer trains them: the encoders read zeros, and their states there are replaced."""
    zeros = {role: torch.zeros_like(vectors) for role, vectors in tensors(2).items()}
    states = {f"{role}_out": vectors for role, vectors in tensors(2).items()}
    save_file(states | (zeros if with_vectors else {}), tmp_path / "twig.safetensors")
    vocabulary = EmbeddingStore().find(["twig"], WIDTHS, [tmp_path])
    assert vocabulary.warnings == ()
    (tmp_path / "plain").mkdir()
    save_file(zeros, tmp_path / "plain" / "twig.safetensors")
    plain = EmbeddingStore().find(["twig"], WIDTHS, [tmp_path / "plain"])
    found, read = (encode(pipe, "a twig fox", v) for v in (vocabulary, plain))
    # A start token and "a", the inversion's two places, then the rest as with vectors alone.
    place = slice(2, 4)
    given = torch.cat([states["clip_l_out"], states["clip_g_out"]], dim=1)
    assert torch.equal(found.states[0, place], given.to(found.states))
    rest = torch.ones(77, dtype=torch.bool)
    rest[place] = False
    assert torch.equal(found.states[0, rest], read.states[0, rest])
    assert torch.equal(found.pooled, read.pooled)


def test_output_embeddings_take_the_weight_of_their_word(pipe: Any, tmp_path: Path) -> None:
    states = {f"{role}_out": vectors for role, vectors in tensors(1).items()}
    save_file(states, tmp_path / "twig.safetensors")
    vocabulary = EmbeddingStore().find(["twig"], WIDTHS, [tmp_path])
    plain, heavy = (encode(pipe, text, vocabulary) for text in ("a twig", "a (twig:1.5)"))
    width = WIDTHS[0]
    ratio = heavy.states[0, 2, :width] / plain.states[0, 2, :width]
    assert ratio.std() < 1e-5
    assert not torch.allclose(ratio, torch.ones_like(ratio))
