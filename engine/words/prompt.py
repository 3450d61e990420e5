"""Read prompts in A1111's grammar: weights, escapes and BREAK; needs no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from engine.errors import EngineError
from engine.words.lora_tags import LoraTag, TagOrder, split_tags
from engine.words.other_tags import without_other_tags

LONGEST_PROMPT = 100_000
"""Characters."""
LARGEST_WEIGHT = 100.0


@dataclass(frozen=True)
class WeightedText:
    """A stretch of the prompt with one weight; 1 is plain."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class ParsedPrompt:
    """A prompt without its tags: weighted texts, in parts that `BREAK` keeps in separate chunks."""

    parts: tuple[tuple[WeightedText, ...], ...]
    loras: tuple[LoraTag, ...] = ()


def parse_prompt(text: str, order: TagOrder = "te, unet") -> ParsedPrompt:
    """Split a prompt into tags, parts and weighted texts.

    `(x)` weighs 1.1, `[x]` 1/1.1, `(x:1.2)` 1.2, and nesting multiplies; `\\(` is a plain bracket;
    a bracket never closed counts to the end. `BREAK` divides inside brackets too. Raises
    `EngineError` for a prompt too long and for numbers that cannot be used.
    """
    if len(text) > LONGEST_PROMPT:
        raise EngineError(
            f"The prompt has {len(text):,} characters; at most {LONGEST_PROMPT:,} are read."
        )
    text, loras = split_tags(text, order)
    text = without_other_tags(text)
    return ParsedPrompt(_join(_weigh(_read_marks(text))), loras)


def is_empty(text: str) -> bool:
    """Whether a prompt says nothing, tags aside."""
    return not without_other_tags(split_tags(text)[0]).strip()


# What matched is never given back (`++`): a failed match costs no more than a look at its text.
_MARK = re.compile(
    r"""\\(?P<escaped>[\\()\[\]]?)
    | (?P<open>[(\[])
    | :\s*+(?P<weight>[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++))\s*+\)
    | (?P<close>[)\]])
    | (?P<text>[^\\()\[\]:]++|:)""",
    re.VERBOSE,
)
_BREAK = re.compile(r"\bBREAK\b")

_Kind = Literal["(", "["]


@dataclass
class _Opened:
    """An opening bracket; its weight may be written where it is closed."""

    kind: _Kind
    weight: float


@dataclass(frozen=True)
class _Closed:
    kind: _Kind


_Mark = str | None | _Opened | _Closed
"""What a prompt consists of; None is a BREAK."""


def _read_marks(text: str) -> list[_Mark]:
    """Texts, breaks and brackets in order; closing brackets without an opening one are text."""
    marks: list[_Mark] = []
    opened: dict[_Kind, list[_Opened]] = {"(": [], "[": []}

    def close(kind: _Kind, weight: float | None = None) -> None:
        bracket = opened[kind].pop()
        if weight is not None:
            bracket.weight = weight
        marks.append(_Closed(kind))

    for found in _MARK.finditer(text):
        if found["escaped"] is not None:
            marks.append(found["escaped"])
        elif found["open"]:
            round_ = found["open"] == "("
            bracket = _Opened("(", 1.1) if round_ else _Opened("[", 1 / 1.1)
            opened[bracket.kind].append(bracket)
            marks.append(bracket)
        elif found["weight"] and opened["("]:
            close("(", float(found["weight"]))
        elif found["close"] == ")" and opened["("]:
            close("(")
        elif found["close"] == "]" and opened["["]:
            close("[")
        else:
            marks += _split_breaks(found[0])
    return marks


def _split_breaks(text: str) -> Iterator[str | None]:
    """A text cut at each BREAK, which takes the blanks around it along."""
    first, *others = _BREAK.split(text)
    if not others:
        yield first
        return
    yield first.rstrip()
    for other in others[:-1]:
        yield None
        yield other.strip()
    yield None
    yield others[-1].lstrip()


def _weigh(marks: list[_Mark]) -> Iterator[WeightedText | None]:
    """Texts with the product of the weights around them.

    The two kinds of brackets may overlap, as in `([)]`, but each is nested in its own kind.
    """
    products: dict[_Kind, list[float]] = {"(": [1.0], "[": [1.0]}
    for mark in marks:
        match mark:
            case _Opened(kind, weight):
                products[kind].append(products[kind][-1] * weight)
            case _Closed(kind):
                products[kind].pop()
            case None:
                yield None
            case str(text):
                yield WeightedText(text, products["("][-1] * products["["][-1])


def _join(pieces: Iterator[WeightedText | None]) -> tuple[tuple[WeightedText, ...], ...]:
    """Split at BREAKs and join neighbours of one weight, so that plain text stays in one piece."""
    parts: list[list[tuple[float, list[str]]]] = [[]]
    for piece in pieces:
        if piece is None:
            parts.append([])
            continue
        if not piece.text:
            continue
        if not abs(piece.weight) <= LARGEST_WEIGHT:
            raise EngineError(
                f"A weight of {piece.weight:g} in the prompt cannot be used: "
                f"stay within ±{LARGEST_WEIGHT:g}."
            )
        part = parts[-1]
        if not part or part[-1][0] != piece.weight:
            part.append((piece.weight, []))
        part[-1][1].append(piece.text)
    return tuple(
        tuple(WeightedText("".join(texts), weight) for weight, texts in part) for part in parts
    )
