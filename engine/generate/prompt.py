"""Read prompts in A1111's grammar: weights, escapes and BREAK; needs no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.errors import EngineError
from engine.generate.lora_tags import LoraTag, TagOrder, split_tags

LARGEST_WEIGHT = 100.0
_ROUND, _SQUARE = 1.1, 1 / 1.1


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
    a bracket never closed counts to the end. Raises `EngineError` for numbers that cannot be used.
    """
    text, loras = split_tags(text, order)
    return ParsedPrompt(_weigh(text), loras)


_TOKEN = re.compile(
    r"""\\(?P<escaped>[\\()\[\]]?)
    | (?P<open>[(\[])
    | :\s*(?P<weight>[+-]?(?:\d+\.?\d*|\.\d+))\s*\)
    | (?P<close>[)\]])
    | (?P<text>[^\\()\[\]:]+|:)""",
    re.VERBOSE,
)
_BREAK = re.compile(r"\s*\bBREAK\b\s*")


@dataclass
class _Piece:
    """A token of the prompt while its weight is still being multiplied; None is a BREAK."""

    text: str | None
    weight: float = 1.0


def _weigh(text: str) -> tuple[tuple[WeightedText, ...], ...]:
    pieces: list[_Piece] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def multiply(start: int, weight: float) -> None:
        for piece in pieces[start:]:
            piece.weight *= weight

    for token in _TOKEN.finditer(text):
        if token["escaped"] is not None:
            pieces.append(_Piece(token["escaped"]))
        elif token["open"]:
            opened[token["open"]].append(len(pieces))
        elif token["weight"] and opened["("]:
            multiply(opened["("].pop(), float(token["weight"]))
        elif token["close"] == ")" and opened["("]:
            multiply(opened["("].pop(), _ROUND)
        elif token["close"] == "]" and opened["["]:
            multiply(opened["["].pop(), _SQUARE)
        else:
            first, *others = _BREAK.split(token[0])
            pieces.append(_Piece(first))
            for other in others:
                pieces += [_Piece(None), _Piece(other)]
    for start in opened["("]:
        multiply(start, _ROUND)
    for start in opened["["]:
        multiply(start, _SQUARE)
    return _join(pieces)


def _join(pieces: list[_Piece]) -> tuple[tuple[WeightedText, ...], ...]:
    """Split at BREAKs and join neighbours of one weight, so that plain text stays in one piece."""
    parts: list[list[WeightedText]] = [[]]
    for piece in pieces:
        if not abs(piece.weight) <= LARGEST_WEIGHT:
            raise EngineError(
                f"A weight of {piece.weight:g} in the prompt cannot be used: "
                f"stay within ±{LARGEST_WEIGHT:g}."
            )
        part = parts[-1]
        if piece.text is None:
            parts.append([])
        elif part and part[-1].weight == piece.weight:
            part[-1] = WeightedText(part[-1].text + piece.text, piece.weight)
        elif piece.text:
            part.append(WeightedText(piece.text, piece.weight))
    return tuple(map(tuple, parts))
