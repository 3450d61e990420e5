"""How a LoRA's strength moves over the steps: points with straight lines between, windows, turns.

In a tag: `<lora:ink:0@0,1@0.4>` fades in; `<lora:ink:0.8:start=0.2,end=0.7>` counts for a time;
`<lora:ink:0.8:turn=1/2>` and `<lora:neon:0.8:turn=2/2>` take turns step by step, as in LoRA Switch
(arXiv 2402.16843), and `every=5` makes each turn five steps long. `stop=` and `step=5-10` are what
the lora-block-weight extension writes for `end=` and for both.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.words.plain_number import plain_number

FIELDS = ("start", "end", "stop", "step", "turn", "every")
"""The fields of a tag that are read here."""
_MOST = 500
"""Points of one strength, members that take turns, steps of a turn."""
_SHORT = r"(?:[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:e[+-]?[0-9]{1,2})?"
_POINT = re.compile(rf"\s*([+-]?(?:{_SHORT}))\s*@\s*({_SHORT})\s*")
_PLACE = re.compile(rf"\s*({_SHORT})\s*")
_TURN = re.compile(r"\s*([0-9]{1,3})\s*/\s*([0-9]{1,3})\s*")
_COUNT = re.compile(r"\s*([0-9]{1,3})\s*")


class Point(NamedTuple):
    """A strength at a place: up to 1 a share (0 the first step, 1 the last), above it a step."""

    strength: float
    at: float


@dataclass(frozen=True)
class Course:
    """What a tag says of its strengths over the steps; by itself it says that they stay."""

    unet: tuple[Point, ...] = ()
    """Empty: it is one strength."""
    text_encoder: tuple[Point, ...] = ()
    start: float = 0.0
    """Up to 1 a share of the steps, above it the number of steps before."""
    end: float = 1.0
    turn: int = 1
    """Which of the members that take turns this one is, from 1."""
    turns: int = 1
    every: int = 1
    """Steps of one turn."""

    def __post_init__(self) -> None:
        """Refuse turns that no step can be counted in, whoever says them."""
        if not (1 <= self.turn <= self.turns <= _MOST and 1 <= self.every <= _MOST):
            raise ValueError(f"has turns beyond 1 to {_MOST}")

    def counts_at(self, step: int, steps: int) -> bool:
        """Whether the member is there at a step, counted from 0.

        Two windows of which one ends where the other starts share no step and leave none out.
        """
        inside = _boundary(self.start, steps) <= step < _boundary(self.end, steps)
        return inside and step // self.every % self.turns == self.turn - 1

    def strengths(self, steps: int, unet: float, text_encoder: float) -> list[tuple[float, float]]:
        """Strengths for the UNet and the text encoders at each step; those given where none move.

        They are 0 where the member does not count.
        """
        both = zip(
            strengths(self.unet or unet, steps),
            strengths(self.text_encoder or text_encoder, steps),
            strict=True,
        )
        return [
            pair if self.counts_at(step, steps) else (0.0, 0.0) for step, pair in enumerate(both)
        ]

    def written(self) -> tuple[str, ...]:
        """The fields of a tag, strengths aside."""
        fields = []
        if (self.start, self.end) != (0.0, 1.0):
            fields.append(f"start={plain_number(self.start)},end={plain_number(self.end)}")
        if self.turns > 1:
            fields.append(f"turn={self.turn}/{self.turns},every={self.every}")
        return tuple(fields)


STEADY = Course()


def strengths(points: float | Sequence[Point], steps: int) -> tuple[float, ...]:
    """The strength at each step: straight lines between the points, held before and after them.

    A place up to 1 is a share, from the first step (0) to the last (1). One above 1 is a step: 5 is
    where five are done; beside such places, 1 is a step too. Of two points at one place the later
    one counts from there on. A number is the strength at all steps.
    """
    if isinstance(points, int | float):
        return (float(points),) * steps
    in_steps = any(point.at > 1 for point in points)
    by_place: list[tuple[float, float]] = []
    for strength, at in points:
        is_step = at > 1 or (in_steps and at == 1)
        by_place.append((at if is_step else at * (steps - 1), strength))
    by_place.sort(key=lambda point: point[0])
    places, levels = zip(*by_place, strict=True)
    return tuple(_between(places, levels, step) for step in range(steps))


def _between(places: Sequence[float], levels: Sequence[float], step: int) -> float:
    after = bisect_right(places, step)
    if after == 0:
        return levels[0]
    before, low = places[after - 1], levels[after - 1]
    if after == len(places) or before == step:
        return low
    return low + (levels[after] - low) * ((step - before) / (places[after] - before))


def _boundary(place: float, steps: int) -> int:
    """The number of steps before a place."""
    return int(place * steps) if place <= 1 else int(place)


def may_be_points(text: str) -> bool:
    """Whether a field of a tag is meant as points."""
    return _POINT.match(text) is not None


def read_points(text: str) -> tuple[Point, ...]:
    """Read `0@0,1@0.4`; commas or semicolons part the points. Raises ValueError with the reason."""
    found = [_POINT.fullmatch(part) for part in re.split("[,;]", text)]
    if len(found) > _MOST:
        raise ValueError(f"has {len(found):,} points; at most {_MOST} are read")
    if not all(found):
        raise ValueError("is no list of points; write STRENGTH@PLACE, as in 0@0,1@0.4")
    return tuple(Point(float(point[1]), float(point[2])) for point in found if point)


def write_points(points: Sequence[Point]) -> str:
    """The points as `read_points` reads them."""
    return ",".join("@".join(map(plain_number, point)) for point in points)


def with_field(course: Course, field: str) -> Course:
    """The course with a field of a tag: `start=0.2`, or several, as in `start=0.2,end=0.7`.

    Raises ValueError with the reason.
    """
    for part in field.split(","):
        name, _, value = part.partition("=")
        match name.strip():
            case "start":
                course = replace(course, start=_place(value))
            case "end" | "stop":
                course = replace(course, end=_place(value))
            case "step":
                first, dash, last = value.partition("-")
                if not dash:
                    raise ValueError("has a step without its end; write a range, as step=5-10")
                course = replace(course, start=_place(first), end=_place(last))
            case "turn":
                found = _TURN.fullmatch(value)
                turn, turns = map(int, found.groups()) if found else (0, 0)
                if not 1 <= turn <= turns <= _MOST:
                    raise ValueError("is no turn; write turn=1/2 for the first of two")
                course = replace(course, turn=turn, turns=turns)
            case "every":
                count = _COUNT.fullmatch(value)
                every = int(count[1]) if count else 0
                if not 1 <= every <= _MOST:
                    raise ValueError(f"is no number of steps; write every=1 to every={_MOST}")
                course = replace(course, every=every)
            case _:
                raise ValueError(f"has a field that is none of {', '.join(FIELDS)}")
    # A share may lie behind a step: that is known when the steps are.
    if course.end < course.start and not 0 < course.end <= 1 < course.start:
        raise ValueError("ends before it starts; write the lower place first")
    return course


def _place(value: str) -> float:
    found = _PLACE.fullmatch(value)
    place = float(found[1]) if found else math.nan
    if not (place <= 1 or place.is_integer()):
        raise ValueError("is no place; write a share of the steps up to 1, or a step from 2 on")
    return place
