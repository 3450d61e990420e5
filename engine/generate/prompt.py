"""Read prompts in A1111's grammar: weights, escapes, BREAK and LoRA tags; needs no torch."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from engine.errors import EngineError

LARGEST_WEIGHT = 100.0
_ROUND, _SQUARE = 1.1, 1 / 1.1

TagOrder = Literal["te, unet", "unet, te"]
"""What a tag's second and third field mean: A1111's order, or ComfyUI's and SwarmUI's."""


@dataclass(frozen=True)
class WeightedText:
    """A stretch of the prompt with one weight; 1 is plain."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class LoraTag:
    """A `<lora:name:…>` tag: the strengths it asks for, and named fields not read here."""

    name: str
    unet: float = 1.0
    text_encoder: float = 1.0
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The tag in a form every program reads alike: one strength, or both by name."""
        if self.unet == self.text_encoder:
            strengths = f"{self.unet:.6g}"
        else:
            strengths = f"te={self.text_encoder:.6g}:unet={self.unet:.6g}"
        return ":".join(["<lora", self.name, strengths, *map("=".join, self.options)]) + ">"


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


_TAG = re.compile(r"<(?:lora|lyco):([^<>]*)>", re.IGNORECASE)


def split_tags(text: str, order: TagOrder = "te, unet") -> tuple[str, tuple[LoraTag, ...]]:
    """Take the `<lora:…>` tags out of a text; returns the rest, otherwise as written, and them."""
    tags = tuple(_read_tag(match.group(0), match.group(1), order) for match in _TAG.finditer(text))
    return _TAG.sub("", text), tags


def _read_tag(tag: str, body: str, order: TagOrder) -> LoraTag:
    name, *fields = (field.strip() for field in body.split(":"))
    if not name:
        raise EngineError(f"The tag “{tag}” names no LoRA; write <lora:name:0.8>.")
    values = [_number(field, tag) for field in fields if "=" not in field]
    named = dict(field.split("=", 1) for field in fields if "=" in field)
    parts = ("te", "unet") if order == "te, unet" else ("unet", "te")
    # The part a value is missing for follows the other one, as every program has it.
    strengths: dict[str, float] = {}
    strength = 1.0
    for i, part in enumerate(parts):
        if part in named:
            strength = _number(named.pop(part), tag)
        elif i < len(values):
            strength = values[i]
        strengths[part] = strength
    return LoraTag(name, strengths["unet"], strengths["te"], tuple(named.items()))


def _number(text: str, tag: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise EngineError(f"“{text}” in the tag “{tag}” is not a number; write <lora:name:0.8>.")
    return number


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
