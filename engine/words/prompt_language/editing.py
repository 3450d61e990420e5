"""A1111's prompt editing: `[from:to:when]`, `[to:when]`, `[from::when]`, and `[a|b]` in turn.

The rules are those of A1111 1.10: `when` with a point is a share of the steps, without one the step
after which the text changes; both may be nested, in round brackets too. `\\[`, `\\(`, `\\:` and
`\\|` are plain characters, and a `<lora:…>` tag is one piece.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.errors import EngineError
from engine.words.prompt_language.notes import quoted

MOST_CHANGES = 500
"""Brackets of one prompt that change over the steps."""
_MOST_NOTES = 20

_MARK = re.compile(r"\\.|<\w++:[^<>]*+>|[\[\]():|]", re.DOTALL)
_WHEN = re.compile(
    r"\s*+([+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:e[+-]?[0-9]{1,2})?)\s*+", re.I
)


class TextUntil(NamedTuple):
    """The prompt up to a step, that one included; steps are counted from 1."""

    last_step: int
    text: str


@dataclass(frozen=True)
class Passes:
    """The steps that a prompt is read for.

    `before` is 0 for the first pass. In a second one, of a hires fix, shares go on from 1 (`1.5` is
    its middle) and steps from those of the first pass.
    """

    steps: int
    before: int = 0

    def step(self, when: str) -> int:
        """The step after which the text changes; 0 or less: it has before the first one."""
        if "." in when:
            return int((float(when) - bool(self.before)) * self.steps)
        return int(float(when)) - self.before


@dataclass(frozen=True)
class Changing:
    """Brackets whose text depends on the step: `options` are the places of the texts in them."""

    start: int
    end: int
    options: tuple[tuple[int, int], ...]
    when: str = ""
    """Empty: the options take turns."""

    def at(self, step: int, passes: Passes) -> tuple[int, int]:
        """Where the text stands that counts at a step."""
        if not self.when:
            return self.options[(step - 1) % len(self.options)]
        return self.options[step > passes.step(self.when)]


def texts_over_steps(
    text: str, steps: int, steps_before: int = 0
) -> tuple[tuple[TextUntil, ...], tuple[str, ...]]:
    """A prompt's text for all steps, and notes on what looks like prompt editing and is not.

    `steps` are those of this pass, `steps_before` those of the pass before it (hires fix). Each
    text counts up to its `last_step`; the last one ends with the steps. Neighbours differ. Raises
    `EngineError` for more changing brackets than `MOST_CHANGES`.
    """
    changing, notes = find_changing(text)
    passes = Passes(steps, steps_before)
    ends = {steps}
    for brackets in changing:
        ends.update([passes.step(brackets.when)] if brackets.when else range(1, steps))
    found: list[TextUntil] = []
    for end in sorted(end for end in ends if 1 <= end <= steps):
        now = _at_step(text, changing, end, passes)
        if found and found[-1].text == now:
            found.pop()
        found.append(TextUntil(end, now))
    return tuple(found), notes


def _at_step(text: str, changing: list[Changing], step: int, passes: Passes) -> str:
    starts = [brackets.start for brackets in changing]
    pieces: list[str] = []
    ends = [(len(text), len(text))]
    """Where the text that is read ends, and where it goes on then; the innermost comes last."""
    place = 0
    while ends:
        end, on = ends[-1]
        number = bisect_left(starts, place)
        if number < len(starts) and starts[number] < end:
            brackets = changing[number]
            pieces.append(text[place : brackets.start])
            place, option_end = brackets.at(step, passes)
            ends.append((option_end, brackets.end))
        else:
            pieces.append(text[place:end])
            place = on
            ends.pop()
    return "".join(pieces)


@dataclass
class _Open:
    """A bracket that is not closed yet."""

    kind: str
    start: int
    marks: list[tuple[str, int]] = field(default_factory=list)
    """The `:` and `|` right inside it, with their places."""
    faults: list[str] = field(default_factory=list)


def find_changing(text: str) -> tuple[list[Changing], tuple[str, ...]]:
    """The brackets that change over the steps, in the order of their beginnings, and notes."""
    found: list[Changing] = []
    notes: list[str] = []
    opened: list[_Open] = []
    waiting = {"(": 0, "[": 0}
    for mark in _MARK.finditer(text):
        sign, place = mark[0], mark.start()
        if sign in "([":
            opened.append(_Open(sign, place))
            waiting[sign] += 1
        elif sign in ":|" and opened:
            opened[-1].marks.append((sign, place))
        elif sign in ")]" and waiting["(" if sign == ")" else "["]:
            closed, *inner = _taken_off(opened, "(" if sign == ")" else "[")
            for left in (closed, *inner):
                waiting[left.kind] -= 1
            for left in inner:
                _note_unclosed(text, left, notes)
                closed.marks += left.marks
                closed.faults.append(f"a “{left.kind}” in it is not closed")
            if closed.kind == "[" and closed.marks:
                _understand(text, closed, place, found.append, notes)
    for left in opened:
        _note_unclosed(text, left, notes)
    if len(found) > MOST_CHANGES:
        raise EngineError(
            f"The prompt has {len(found):,} brackets that change over the steps; at most "
            f"{MOST_CHANGES} are read."
        )
    if len(notes) > _MOST_NOTES:
        notes[_MOST_NOTES:] = [f"{len(notes) - _MOST_NOTES:,} more brackets are taken as text."]
    return sorted(found, key=lambda brackets: brackets.start), tuple(notes)


def _taken_off(opened: list[_Open], kind: str) -> list[_Open]:
    """The innermost bracket of a kind, and after it those in it that were never closed."""
    taken = [opened.pop()]
    while taken[-1].kind != kind:
        taken.append(opened.pop())
    return taken[::-1]


def _note_unclosed(text: str, left: _Open, notes: list[str]) -> None:
    # Without a mark it is a weight to the end of the prompt, as ever.
    if left.kind == "[" and left.marks:
        notes.append(f"{quoted(text[left.start :])} is taken as text: no closing bracket.")


def _understand(
    text: str,
    brackets: _Open,
    end: int,
    found: Callable[[Changing], None],
    notes: list[str],
) -> None:
    """Read a closed square bracket with marks in it: editing, turns, or a note."""
    signs = "".join(sign for sign, _ in brackets.marks)
    fields = tuple(_between(brackets, end))
    start, after = fields[-1]
    when = _WHEN.fullmatch(text, start, after)
    fault = ""
    if brackets.faults:
        fault = brackets.faults[0]
    elif "|" in signs and ":" in signs:
        fault = "“:” and “|” need brackets of their own"
    elif "|" in signs:
        found(Changing(brackets.start, end + 1, fields))
    elif len(fields) > 3:
        fault = "it has more than three fields; a plain colon is written “\\:”"
    elif when is None:
        fault = f"{quoted(text[start:after])} is no step and no share of the steps"
    else:
        empty = (brackets.start, brackets.start)
        options = fields[:2] if len(fields) == 3 else (empty, fields[0])
        found(Changing(brackets.start, end + 1, options, when[1]))
    if fault:
        notes.append(f"{quoted(text[brackets.start : end + 1])} is taken as text: {fault}.")


def _between(brackets: _Open, end: int) -> Iterator[tuple[int, int]]:
    start = brackets.start + 1
    for _, place in brackets.marks:
        yield start, place
        start = place + 1
    yield start, end
