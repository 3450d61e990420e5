"""Prompt embeddings straight from SDXL's two text encoders, of any length and with weights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from engine.embeddings.inject import injected
from engine.embeddings.vocabulary import NO_EMBEDDINGS, Vocabulary
from engine.errors import EngineError
from engine.generate.chunks import ROLES, count_chunks, cut_chunks, frame_chunks
from engine.protocol.request import EmptyNegative
from engine.words.prompt import ParsedPrompt, is_empty, parse_prompt

LARGEST_SCALE = 10.0
"""More than this, restoring a mean amplifies chance."""


@dataclass(frozen=True)
class PromptEmbeddings:
    """What the UNet reads of a prompt: `states` [1, 77·chunks, width] and `pooled` [1, width 2]."""

    states: torch.Tensor
    pooled: torch.Tensor

    def zeros(self) -> PromptEmbeddings:
        """Nothing at all, in the same shapes."""
        return PromptEmbeddings(torch.zeros_like(self.states), torch.zeros_like(self.pooled))


CacheKey = tuple[Hashable, ...]
"""All that decides what a text becomes, the text encoders' weights apart."""


class EmbeddingsCache:
    """The embeddings of the last texts; `clear()` it whenever a text encoder changes."""

    def __init__(self, capacity: int = 32) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[CacheKey, PromptEmbeddings] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def get(self, key: CacheKey) -> PromptEmbeddings | None:
        """Look up (text, chunks, clip skip, its textual inversions)."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: CacheKey, embeddings: PromptEmbeddings) -> None:
        """Keep the embeddings, dropping the ones unused for longest when there are too many."""
        self._entries[key] = embeddings
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)


def encode_texts(
    pipe: Any,
    texts: Iterable[str],
    clip_skip: int = 2,
    cache: EmbeddingsCache | None = None,
    vocabulary: Vocabulary = NO_EMBEDDINGS,
    empty_negative: EmptyNegative = "zeros",
) -> tuple[PromptEmbeddings, ...]:
    """Encode a prompt and the negative prompts after it, all in as many chunks as the longest.

    `pipe` brings `text_encoder`, `text_encoder_2` and their tokenizers. Tags are left out; the
    names of the vocabulary's textual inversions stand for their vectors. `empty_negative` says
    what stands for a negative prompt without a word.
    """
    parsed = [(text, parse_prompt(text)) for text in texts]
    tokenizers = (pipe.tokenizer, pipe.tokenizer_2)
    chunks = max(count_chunks(prompt, tokenizers, vocabulary) for _, prompt in parsed)
    encoded: list[PromptEmbeddings] = []
    for text, prompt in parsed:
        if encoded and empty_negative == "zeros" and is_empty(text):
            encoded.append(encoded[0].zeros())
            continue
        key = (text, chunks, clip_skip, vocabulary.used_in(prompt))
        embeddings = cache.get(key) if cache is not None else None
        if embeddings is None:
            encoders = (pipe.text_encoder, pipe.text_encoder_2)
            embeddings = encode(prompt, tokenizers, encoders, clip_skip, chunks, vocabulary)
            if cache is not None:
                cache.put(key, embeddings)
        encoded.append(embeddings)
    return tuple(encoded)


@torch.no_grad()
def encode(
    prompt: ParsedPrompt,
    tokenizers: tuple[Any, Any],
    text_encoders: tuple[Any, Any],
    clip_skip: int = 2,
    chunks: int = 1,
    vocabulary: Vocabulary = NO_EMBEDDINGS,
) -> PromptEmbeddings:
    """Encode a prompt with both text encoders, in at least `chunks` chunks.

    The states are the encoders' hidden states `clip_skip` from the end (2 is SDXL's own, and 1
    means 2), side by side; `pooled` is the second encoder's for the first chunk. A plain prompt of
    one chunk gives exactly what diffusers' `encode_prompt` gives, with textual inversions too.
    Raises `EngineError` when the encoders have fewer layers than `clip_skip` asks for.
    """
    chunks = max(chunks, count_chunks(prompt, tokenizers, vocabulary))
    skip = max(clip_skip, 2)
    encoded = []
    for tokenizer, text_encoder, role in zip(tokenizers, text_encoders, ROLES, strict=True):
        layers = text_encoder.config.num_hidden_layers
        if skip > layers + 1:
            raise EngineError(
                f"Clip skip {clip_skip} is too much for a text encoder of {layers} layers."
            )
        batch = frame_chunks(cut_chunks(prompt, tokenizer, vocabulary, role), chunks, tokenizer)
        with injected(text_encoder, batch.injections):
            output = text_encoder(batch.ids.to(text_encoder.device), output_hidden_states=True)
        states = output.hidden_states[-skip]
        for row, place, state in batch.states:
            states[row, place] = state.to(states)
        states = emphasize(states, batch.weights)
        encoded.append((states.reshape(1, -1, states.shape[-1]), output))
    (states_1, _), (states_2, output_2) = encoded
    states = torch.cat([states_1.to(states_2.device), states_2], dim=-1)
    return PromptEmbeddings(states.to(states_2.dtype), output_2.text_embeds[:1])


def emphasize(states: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Apply A1111's rule to states [chunks, 77, width]: multiply, then restore the mean.

    Each token's states are multiplied by its weight; then each chunk is scaled so that the mean of
    all its states is what it was, unless that mean is so near zero that the scale would turn the
    states around or blow them up. Chunks without weights stay as they are, bit for bit.
    """
    result = states.clone()
    for row in range(len(states)):
        if (weights[row] == 1).all():
            continue
        plain = states[row].float()
        weighted = plain * weights[row, :, None].to(plain.device)
        scale = float(plain.mean() / weighted.mean())
        result[row] = weighted * scale if 0 < scale <= LARGEST_SCALE else weighted
    return result
