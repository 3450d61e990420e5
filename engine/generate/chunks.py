"""A prompt as the chunks of 77 places that a text encoder reads: tokens, weights, vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch

from engine.embeddings.inject import Injection
from engine.embeddings.vocabulary import NO_EMBEDDINGS, Vocabulary
from engine.errors import EngineError
from engine.words.prompt import ParsedPrompt, WeightedText

Role = Literal["clip_l", "clip_g"]
ROLES: tuple[Role, Role] = ("clip_l", "clip_g")
"""The two text encoders as textual inversions call them."""


@dataclass(frozen=True)
class Token:
    """One place of a chunk: a token, or a vector instead of one."""

    id: int
    weight: float
    vector: torch.Tensor | None = None
    state: torch.Tensor | None = None
    """What stands in the encoder's states there, whatever it makes of the vector."""


MOST_CHUNKS = 100
"""What one text may need; each more makes every step of the drawing slower."""
_COMMA_BACKTRACK = 20
"""Tokens behind a comma that go into the next chunk together (A1111's setting of that name)."""


def count_chunks(
    prompt: ParsedPrompt, tokenizers: tuple[Any, Any], vocabulary: Vocabulary = NO_EMBEDDINGS
) -> int:
    """Count the chunks of 77 tokens a prompt needs; at least 1."""
    return max(
        len(cut_chunks(prompt, tokenizer, vocabulary, role))
        for tokenizer, role in zip(tokenizers, ROLES, strict=True)
    )


def cut_chunks(
    prompt: ParsedPrompt, tokenizer: Any, vocabulary: Vocabulary, role: Role
) -> list[list[Token]]:
    """The tokens without specials in chunks of up to 75, cut as A1111 does it.

    A chunk ends at a BREAK, else behind its last comma if up to 20 tokens follow that, else where
    it is full; inversions are never cut apart. A BREAK behind which nothing comes starts no chunk.
    Raises `EngineError` for a prompt that needs more than `MOST_CHUNKS`.
    """
    room = tokenizer.model_max_length - 2
    comma = tokenizer(",", add_special_tokens=False, verbose=False).input_ids
    chunks: list[list[Token]] = []
    chunk: list[Token] = []
    last_comma = -1

    def finish() -> None:
        nonlocal chunk, last_comma
        chunks.append(chunk)
        chunk, last_comma = [], -1
        if len(chunks) > MOST_CHUNKS:
            raise EngineError(
                f"The prompt is too long: it needs more than {MOST_CHUNKS} chunks of {room} tokens."
            )

    for number, part in enumerate(prompt.parts):
        if number:
            finish()
        for tokens in (
            tokens for piece in part for tokens in _tokens(piece, tokenizer, vocabulary, role)
        ):
            if [token.id for token in tokens if token.vector is None] == comma:
                last_comma = len(chunk)
            elif len(chunk) == room and last_comma >= room - _COMMA_BACKTRACK:
                chunk, moved = chunk[: last_comma + 1], chunk[last_comma + 1 :]
                finish()
                chunk = moved
            if len(chunk) + len(tokens) > room:
                finish()
            chunk += tokens
    if chunk or not chunks:
        finish()
    return chunks


def _tokens(
    piece: WeightedText, tokenizer: Any, vocabulary: Vocabulary, role: Role
) -> Iterator[list[Token]]:
    """A text's tokens in groups that stay together: single tokens, and the vectors of a word."""
    for item in vocabulary.split(piece.text):
        if isinstance(item, str):
            for token in tokenizer(item, add_special_tokens=False, verbose=False).input_ids:
                yield [Token(token, piece.weight)]
        else:
            # The first token of the table stands below: it is never taken for the text's end.
            yield [Token(0, piece.weight, *place) for place in item.places(role)]


@dataclass(frozen=True)
class Batch:
    """What one text encoder reads: ids and weights [count, 77], and vectors in place of tokens.

    `states` are for the places of its states.
    """

    ids: torch.Tensor
    weights: torch.Tensor
    injections: list[Injection]
    states: list[Injection]


def frame_chunks(chunks: list[list[Token]], count: int, tokenizer: Any) -> Batch:
    """Frame each chunk with the start and end token and fill it up."""
    length = tokenizer.model_max_length
    ids = torch.full((count, length), tokenizer.pad_token_id)
    weights = torch.ones(count, length)
    injections: list[Injection] = []
    states: list[Injection] = []
    for row in range(count):
        chunk = chunks[row] if row < len(chunks) else []
        framed = [tokenizer.bos_token_id, *(token.id for token in chunk), tokenizer.eos_token_id]
        ids[row, : len(framed)] = torch.tensor(framed)
        weights[row, 1 : len(chunk) + 1] = torch.tensor([token.weight for token in chunk])
        for place, token in enumerate(chunk, 1):
            if token.vector is not None:
                injections.append((row, place, token.vector))
            if token.state is not None:
                states.append((row, place, token.state))
    return Batch(ids, weights, injections, states)
