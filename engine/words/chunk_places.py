"""Where the chunks of a prompt end: how many tokens each has, and its last character."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.words.clip_tokens import Span, clip_tokens

ROOM = 75
"""Tokens of a chunk, without the two that frame it."""
_COMMA_BACKTRACK = 20
"""Tokens behind a comma that go into the next chunk with it (A1111's setting of that name)."""

_MARK = re.compile(
    r"(?P<tag><\w++:[^<>]*+>)|\\(?P<letter>[()\[\]\\])?|(?P<open>[(\[])"
    r"|(?::\s*+[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)\s*+)?(?P<close>[)\]])"
)
_BREAK = re.compile(r"\bBREAK\b")


@dataclass(frozen=True)
class Chunk:
    """Some tokens that a text encoder reads together."""

    tokens: int
    start: int
    """The first character of its first token."""


def chunk_places(prompt: str) -> list[Chunk]:
    """The chunks of a prompt as A1111 cuts it; at least one.

    Tags, brackets and weights are no tokens. What is decided when it is drawn (wildcards, words
    that change over the steps) counts as it is written.
    """
    text = _without_marks(prompt)
    chunks: list[Chunk] = []
    start = 0
    for end in (*(found.start() for found in _BREAK.finditer(text)), len(text)):
        spans = [(a + start, b + start) for a, b in clip_tokens(text[start:end])]
        is_last = end == len(text)
        # A BREAK behind which nothing comes starts no chunk.
        if spans or not is_last or not chunks:
            chunks += _cut(text, spans, start)
        start = end + len("BREAK")
    return chunks


def _without_marks(prompt: str) -> str:
    """The prompt with blanks for tags, brackets and weights, so that places stay.

    An escaped bracket is a letter, and so is one that closes nothing, with what looks like its
    weight.
    """
    opened = {")": 0, "]": 0}

    def blanks(found: re.Match[str]) -> str:
        if letter := found["letter"]:
            return f" {letter}"
        if found["open"]:
            opened[")" if found["open"] == "(" else "]"] += 1
        elif close := found["close"]:
            if not opened[close]:
                return found[0]
            opened[close] -= 1
            if close == "]":  # which has no weights
                return f"{found[0][:-1]} "
        return " " * len(found[0])

    return _MARK.sub(blanks, prompt)


def _cut(text: str, spans: list[Span], start: int) -> list[Chunk]:
    """The chunks of a part, at least one; `start` is where an empty one stands."""
    chunks, first = [], 0
    while len(spans) - first > ROOM:
        end = first + ROOM
        commas = (n for n in range(end - 1, first - 1, -1) if text[slice(*spans[n])] == ",")
        comma = next(commas, -1)
        is_next_a_comma = text[slice(*spans[end])] == ","
        if not is_next_a_comma and comma - first >= ROOM - _COMMA_BACKTRACK:
            end = comma + 1
        chunks.append(Chunk(end - first, spans[first][0]))
        first = end
    rest = len(spans) - first
    if rest or not chunks:
        chunks.append(Chunk(rest, spans[first][0] if rest else start))
    return chunks
