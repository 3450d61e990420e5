"""Prompt embeddings straight from SDXL's two text encoders, of any length and with weights."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from engine.errors import EngineError
from engine.generate.prompt import ParsedPrompt, parse_prompt

LARGEST_SCALE = 10.0
"""More than this, restoring a mean amplifies chance."""


@dataclass(frozen=True)
class PromptEmbeddings:
    """What the UNet reads of a prompt: `states` [1, 77·chunks, width] and `pooled` [1, width 2]."""

    states: torch.Tensor
    pooled: torch.Tensor


class EmbeddingsCache:
    """The embeddings of the last texts; `clear()` it whenever a text encoder changes."""

    def __init__(self, capacity: int = 32) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[tuple[str, int, int], PromptEmbeddings] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def get(self, key: tuple[str, int, int]) -> PromptEmbeddings | None:
        """Look up (text, chunks, clip skip)."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: tuple[str, int, int], embeddings: PromptEmbeddings) -> None:
        """Keep the embeddings, dropping the ones unused for longest when there are too many."""
        self._entries[key] = embeddings
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)


def encode_texts(
    pipe: Any, texts: Iterable[str], clip_skip: int = 2, cache: EmbeddingsCache | None = None
) -> tuple[PromptEmbeddings, ...]:
    """Encode texts that go into the UNet together, all padded to as many chunks as the longest.

    `pipe` brings `text_encoder`, `text_encoder_2` and their tokenizers. Tags are left out.
    """
    parsed = [(text, parse_prompt(text)) for text in texts]
    tokenizers = (pipe.tokenizer, pipe.tokenizer_2)
    chunks = max(count_chunks(prompt, tokenizers) for _, prompt in parsed)
    encoded = []
    for text, prompt in parsed:
        key = (text, chunks, clip_skip)
        embeddings = cache.get(key) if cache is not None else None
        if embeddings is None:
            encoders = (pipe.text_encoder, pipe.text_encoder_2)
            embeddings = encode(prompt, tokenizers, encoders, clip_skip, chunks)
            if cache is not None:
                cache.put(key, embeddings)
        encoded.append(embeddings)
    return tuple(encoded)


def count_chunks(prompt: ParsedPrompt, tokenizers: Iterable[Any]) -> int:
    """Count the chunks of 77 tokens a prompt needs; at least 1, and 1 for each BREAK."""
    return max(len(_chunks(prompt, tokenizer)) for tokenizer in tokenizers)


@torch.no_grad()
def encode(
    prompt: ParsedPrompt,
    tokenizers: tuple[Any, Any],
    text_encoders: tuple[Any, Any],
    clip_skip: int = 2,
    chunks: int = 1,
) -> PromptEmbeddings:
    """Encode a prompt with both text encoders, in at least `chunks` chunks.

    The states are the encoders' hidden states `clip_skip` from the end (2 is SDXL's own, and 1
    means 2), side by side; `pooled` is the second encoder's for the first chunk. A plain prompt of
    one chunk gives exactly what diffusers' `encode_prompt` gives. Raises `EngineError` when the
    encoders have fewer layers than `clip_skip` asks for.
    """
    chunks = max(chunks, count_chunks(prompt, tokenizers))
    skip = max(clip_skip, 2)
    encoded = []
    for tokenizer, text_encoder in zip(tokenizers, text_encoders, strict=True):
        layers = text_encoder.config.num_hidden_layers
        if skip > layers + 1:
            raise EngineError(
                f"Clip skip {clip_skip} is too much for a text encoder of {layers} layers."
            )
        ids, weights = _pad(_chunks(prompt, tokenizer), chunks, tokenizer)
        output = text_encoder(ids.to(text_encoder.device), output_hidden_states=True)
        states = emphasize(output.hidden_states[-skip], weights)
        encoded.append((states.reshape(1, -1, states.shape[-1]), output))
    (states_1, _), (states_2, output_2) = encoded
    states = torch.cat([states_1.to(states_2.device), states_2], dim=-1)
    return PromptEmbeddings(states.to(states_2.dtype), output_2.text_embeds[:1])


def _chunks(prompt: ParsedPrompt, tokenizer: Any) -> list[list[tuple[int, float]]]:
    """Token ids with weights, without specials: each part in chunks of up to 75."""
    room = tokenizer.model_max_length - 2
    chunks = []
    for part in prompt.parts:
        tokens = [
            (token, piece.weight)
            for piece in part
            for token in tokenizer(piece.text, add_special_tokens=False, verbose=False).input_ids
        ]
        count = max(1, math.ceil(len(tokens) / room))
        chunks += [tokens[i * room : (i + 1) * room] for i in range(count)]
    return chunks


def _pad(
    chunks: list[list[tuple[int, float]]], count: int, tokenizer: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Frame each chunk with the start and end token and fill it up: ids and weights [count, 77]."""
    length = tokenizer.model_max_length
    ids = torch.full((count, length), tokenizer.pad_token_id)
    weights = torch.ones(count, length)
    for row in range(count):
        chunk = chunks[row] if row < len(chunks) else []
        framed = [tokenizer.bos_token_id, *(token for token, _ in chunk), tokenizer.eos_token_id]
        ids[row, : len(framed)] = torch.tensor(framed)
        weights[row, 1 : len(chunk) + 1] = torch.tensor([weight for _, weight in chunk])
    return ids, weights


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
