"""Queries in words: `neon -old tag:"night city" rank:>=32`."""

from __future__ import annotations

import math
import re
from typing import Literal, get_args

from msgspec import Struct

from engine.library.list_row import folded

TextField = Literal["text", "tag", "base", "type", "folder"]
NumberField = Literal["rank", "used"]
FlagField = Literal["fav", "missing", "dup", "error"]
Field = Literal[TextField, NumberField, FlagField]

FIELDS: tuple[str, ...] = tuple(
    sorted({*get_args(TextField), *get_args(NumberField), *get_args(FlagField)} - {"text"})
)
"""What may stand before a colon."""
_NUMBERS, _FLAGS = get_args(NumberField), get_args(FlagField)

_TERM = re.compile(r'(-?)(?:([^\W\d_]+):)?(?:"([^"]*)"?|(\S*))')
_NUMBER = re.compile(r"(>=|<=|>|<|=)?(\d{1,9})|(\d{1,9})\.\.(\d{1,9})")
_YES, _NO = ("yes", "y", "true", "1", "*"), ("no", "n", "false", "0")


class Term(Struct, frozen=True):
    """One condition; with `exclude` it must not hold.

    A text occurs in a field; a number lies from `low` to `high`; a flag is there.
    """

    field: Field
    needle: str = ""
    exclude: bool = False
    low: float = -math.inf
    high: float = math.inf

    def narrows(self, other: Term) -> bool:
        """True when whatever meets this one meets the other."""
        if self == other:
            return True
        both = self.field == other.field and not self.exclude and not other.exclude
        is_text = self.field not in (*_NUMBERS, *_FLAGS)
        return both and is_text and other.needle in self.needle


class Query(Struct, frozen=True):
    """Conditions that must all hold; none holds for every file.

    `neon night`: both occur in name, folder, title, trigger words, tags or notes; `-x` excludes;
    `"two words"` belong together. `tag:`, `base:` (`base:pony`, `base:unknown`), `type:`
    (`type:loha`) and `folder:` look there; `rank:32`, `rank:>=32`, `rank:8..32` compare, so does
    `used:` with how often it was used; `fav:yes`, `missing:yes`, `dup:yes`, `error:yes` ask for
    what is so, and `error:truncated` for the words of the error. Letter case does not matter.
    """

    terms: tuple[Term, ...] = ()
    problems: tuple[str, ...] = ()
    """What is not understood, in sentences; such a word is left out, or looked for as it is."""

    @classmethod
    def parse(cls, text: str) -> Query:
        """Read a query; unfinished typing (a lone `-`, `tag:`, an open quote) asks for nothing."""
        terms: list[Term] = []
        problems: list[str] = []
        for minus, name, quoted, bare in _TERM.findall(text):
            field, value, exclude = name.lower(), folded(quoted or bare), bool(minus)
            if field and field not in FIELDS:
                problems.append(f"“{field}:” is no field; there are {', '.join(FIELDS)}")
                field, value = "text", folded(f"{name}:{quoted or bare}")
            if value:
                term = _term(field or "text", value, exclude)
                problems += [term] if isinstance(term, str) else []
                terms += [term] if isinstance(term, Term) else []
        return cls(tuple(terms), tuple(dict.fromkeys(problems)))


def _term(field: str, value: str, exclude: bool) -> Term | str:
    """A condition, or what is wrong with it."""
    if field in _NUMBERS:
        if field == "used" and value in (*_YES, *_NO):
            return Term("used", "", exclude != (value in _YES), high=0)
        return _number_term(field, value, exclude)
    if field in _FLAGS:
        if value in _NO:
            return Term(field, "", not exclude)  # type: ignore[arg-type]
        if value in _YES:
            return Term(field, "", exclude)  # type: ignore[arg-type]
        if field != "error":
            # A word that is not finished yet.
            if any(word.startswith(value) for word in (*_YES, *_NO)):
                return Term("text")
            return f"“{field}:{value}”: yes or no"
    if field == "base":
        value = value.replace(" ", "")
    return Term(field, value, exclude)  # type: ignore[arg-type]


def _number_term(field: str, value: str, exclude: bool) -> Term | str:
    match = _NUMBER.fullmatch(value)
    if match is None:
        if value in (">", "<", ">=", "<=", "=") or re.fullmatch(r"\d{1,9}\.{1,2}", value):
            return Term("text")  # not finished yet
        return f"“{field}:{value}” is no number: {field}:32, {field}:>=32 or {field}:8..32"
    sign, number, low, high = match.groups()
    if number is None:
        return Term(field, "", exclude, float(low), float(high))  # type: ignore[arg-type]
    at = float(number)
    lowest = {">=": at, ">": at + 1, "=": at, None: at}.get(sign, -math.inf)
    highest = {"<=": at, "<": at - 1, "=": at, None: at}.get(sign, math.inf)
    return Term(field, "", exclude, lowest, highest)  # type: ignore[arg-type]
