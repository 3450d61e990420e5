"""Weights of words changed by keys, as A1111 does it with Ctrl+↑ and Ctrl+↓."""

from __future__ import annotations

import re
from typing import NamedTuple

STEP, TAG_STEP = 0.1, 0.05
_WEIGHTED = re.compile(r"\(((?:\\.|[^()\\])*):\s*([+-]?\d*\.?\d+)\s*\)")
_TAG = re.compile(r"<(?:lora|lyco):[^<>:]+:([+-]?\d*\.?\d+)[^<>]*>", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s,()\[\]{}<>|]")


class Weighed(NamedTuple):
    """A prompt after the change, and what is marked in it."""

    text: str
    start: int
    end: int


def weighed(text: str, start: int, end: int, steps: int) -> Weighed:
    """Change the weight of what is marked, or else of the word, bracket or tag at `start`.

    A word of weight 1 has no brackets. Where there is nothing to weigh, all stays.
    """
    for tag in _TAG.finditer(text):
        if tag.start() <= start and end <= tag.end():
            strength = f"{_stepped(tag[1], steps * TAG_STEP):g}"
            changed = text[: tag.start(1)] + strength + text[tag.end(1) :]
            return Weighed(changed, start, max(start, min(end, len(changed))))
    for group in _WEIGHTED.finditer(text):
        if group.start() <= start and end <= group.end():
            weight = _stepped(group[2], steps * STEP)
            return _put(text, group.start(), group.end(), group[1], weight)
    if start == end:
        start, end = _word_at(text, start)
    words = text[start:end].strip()
    if not words:
        return Weighed(text, start, end)
    start += len(text[start:end]) - len(text[start:end].lstrip())
    return _put(text, start, start + len(words), words, _stepped("1", steps * STEP))


def _put(text: str, start: int, end: int, words: str, weight: float) -> Weighed:
    new = words if weight == 1 else f"({words}:{weight:g})"
    inner = start if weight == 1 else start + 1
    return Weighed(text[:start] + new + text[end:], inner, inner + len(words))


def _stepped(number: str, step: float) -> float:
    return round(float(number) + step, 4)


def _word_at(text: str, place: int) -> tuple[int, int]:
    start = end = place
    while start > 0 and not _BETWEEN.match(text[start - 1]):
        start -= 1
    while end < len(text) and not _BETWEEN.match(text[end]):
        end += 1
    return start, end
