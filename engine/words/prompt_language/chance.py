"""Prompts that leave something to chance: `{a|b}`, `{2$$a|b|c}`, `__file__`, decided by a seed.

The grammar is that of A1111's Dynamic Prompts; the library of that name brings Jinja and a parser
of its own and has had no release since 2024, so this is written here. The same seed, prompt and
files give the same text on every machine.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.errors import EngineError
from engine.words.prompt import LONGEST_PROMPT
from engine.words.prompt_language.notes import quoted

Lines = Callable[[str], Sequence[str]]
"""The lines of the wildcard files of a name; raises `EngineError` for one that is not there."""

DEEPEST = 40
"""Braces and wildcards in one another."""
_MOST_CHOICES = 10_000
_MOST_NOTES = 20
_MARK = re.compile(r"\\.|[{}\[\]|]", re.DOTALL)
_WILDCARD = re.compile(r"__(?![\s_])((?:(?!__)[^{}|\n])*+(?<!\s))__")
_COUNT = re.compile(
    r"\s*(?:(?P<exact>[0-9]{1,3})|(?P<low>[0-9]{1,3})?-(?P<high>[0-9]{1,3})?)\$\$"
    r"(?:(?P<between>[^{}$]*)\$\$)?"
)
_SAMPLER = re.compile(r"\s*([~@!])(?=__|[^\W_])")
"""What Dynamic Prompts puts before options that are to come in turn (`@`) or all of them (`!`)."""
_WEIGHT = re.compile(r"\s*([0-9]{1,6}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})::")
_COMMENT = re.compile(r"^[ \t]*#.*(?:\n|\Z)", re.MULTILINE)
_VARIABLE = re.compile(r"(?<!\\)\$\{[^{}\n]*+\}")
_ESCAPED = re.compile(r"\\([{}])")


def has_chance(text: str) -> bool:
    """Whether a prompt has something to decide or to take out: braces, wildcards, comments."""
    return any(mark in text for mark in "{}") or bool(
        _WILDCARD.search(text) or _COMMENT.search(text)
    )


def resolve_chance(text: str, seed: int, lines: Lines) -> tuple[str, tuple[str, ...]]:
    """The prompt with all choices made by the seed, and notes on braces that are taken as text.

    `{a|b}` is one of them, `{0.5::a|b}` with weights (1 where none is written), `{2$$a|b|c}` two
    with commas, `{1-2$$ and $$a|b}` one or two with " and "; none comes twice while others are
    left. `__name__` is a line of the wildcard files of that name, and may hold choices itself.
    Lines that begin with `#` are comments; `\\{` and `\\}` are plain. Raises `EngineError` for
    wildcards that are not there or hold themselves, and for what grows beyond all bounds.
    """
    decider = _Decider(random.Random(seed), lines)
    resolved = decider.resolve(_COMMENT.sub("", text), 0)
    return resolved, tuple(dict.fromkeys(decider.notes))[:_MOST_NOTES]


@dataclass
class _Braces:
    """The place of a pair of braces, and of the bars right inside it."""

    start: int
    bars: list[int] = field(default_factory=list)
    end: int = -1


@dataclass
class _Decider:
    chance: random.Random
    lines: Lines
    notes: list[str] = field(default_factory=list)
    choices: int = 0

    def resolve(self, text: str, depth: int) -> str:
        if depth > DEEPEST:
            raise EngineError(
                f"Braces or wildcards are nested deeper than {DEEPEST}; a wildcard may hold itself."
            )
        self.notes += (
            f"{quoted(found[0])} is taken as text: variables are not known here."
            for found in _VARIABLE.finditer(text)
        )
        pieces: list[str] = []
        place = 0
        for braces in self._outermost(text):
            pieces.append(self._plain(text[place : braces.start], depth))
            pieces.append(self._choice(text, braces, depth))
            place = braces.end + 1
        pieces.append(self._plain(text[place:], depth))
        resolved = "".join(pieces)
        if len(resolved) > LONGEST_PROMPT:
            raise EngineError(f"The prompt grows beyond {LONGEST_PROMPT:,} characters.")
        return resolved

    def _outermost(self, text: str) -> list[_Braces]:
        """The braces that are in no others. A bar in square brackets is theirs (`[a|b]`)."""
        found: list[_Braces] = []
        opened: list[tuple[str, _Braces]] = []
        for mark in _MARK.finditer(text):
            sign, place = mark[0], mark.start()
            if sign == "{" or (sign == "[" and opened):
                opened.append((sign, _Braces(place)))
            elif sign == "|" and opened:
                opened[-1][1].bars.append(place)
            elif sign == "]" and opened and opened[-1][0] == "[":
                opened.pop()
            elif sign == "}" and opened:
                bars: list[int] = []
                while opened[-1][0] == "[":
                    bars = opened.pop()[1].bars + bars
                    if not opened:
                        break
                braces = opened.pop()[1]
                braces.bars += bars
                braces.end = place
                # Those inside it are read when it is their turn.
                while found and found[-1].start > braces.start:
                    found.pop()
                found.append(braces)
            elif sign == "}":
                self.notes.append("A “}” without an opening brace is taken as text.")
        for sign, left in opened:
            if sign == "{":
                part = quoted(text[left.start :])
                self.notes.append(f"{part} is taken as text: no closing brace.")
        return found

    def _choice(self, text: str, braces: _Braces, depth: int) -> str:
        start = braces.start + 1
        if sampler := _SAMPLER.match(text, start, braces.end):
            start = sampler.end()
            if sampler[1] != "~":
                part = quoted(text[braces.start : braces.end + 1])
                self.notes.append(
                    f"“{sampler[1]}” in {part} is not known here: chance decides there too."
                )
        count = _COUNT.match(text, start, braces.end)
        if count is not None:
            start = count.end()
        options: list[str] = []
        for bar in (*(bar for bar in braces.bars if bar >= start), braces.end):
            options.append(text[start:bar])
            start = bar + 1
        if len(options) == 1 and (only := _WILDCARD.fullmatch(options[0].strip())):
            options = list(self.lines(only[1]))
        if count is None:
            return self.resolve(self._drawn(options, 1)[0], depth + 1)
        if count["exact"] is not None:
            low = high = int(count["exact"])
        else:
            low, high = int(count["low"] or 1), int(count["high"] or len(options))
        number = min(low, high) + self._below(abs(high - low) + 1)
        between = ", " if count["between"] is None else count["between"]
        drawn = [self.resolve(option, depth + 1) for option in self._drawn(options, number)]
        return between.join(option.strip() for option in drawn)

    def _plain(self, text: str, depth: int) -> str:
        """A text outside of braces, with its wildcards."""

        def line(found: re.Match[str]) -> str:
            return self.resolve(self._drawn(self.lines(found[1]), 1)[0], depth + 1)

        return _ESCAPED.sub(r"\1", _WILDCARD.sub(line, text))

    def _drawn(self, options: Sequence[str], number: int) -> list[str]:
        """Options by their weights, none twice while others are left."""
        drawn: list[str] = []
        left: list[tuple[float, str]] = []
        for _ in range(number):
            self.choices += 1
            if self.choices > _MOST_CHOICES:
                raise EngineError(f"The prompt has more than {_MOST_CHOICES:,} choices to make.")
            left = left or list(map(_weighed, options))
            total = sum(weight for weight, _ in left)
            if total <= 0:
                left = [(1.0, option) for _, option in left]
                total = len(left)
            at = self.chance.random() * total
            place = 0
            while place < len(left) - 1 and at >= left[place][0]:
                at -= left[place][0]
                place += 1
            drawn.append(left.pop(place)[1])
        return drawn

    def _below(self, number: int) -> int:
        return int(self.chance.random() * number)


def _weighed(option: str) -> tuple[float, str]:
    found = _WEIGHT.match(option)
    return (1.0, option) if found is None else (float(found[1]), option[found.end() :])
