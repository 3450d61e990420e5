"""Read and write `<lora:…>` tags, as A1111 and ComfyUI have them in prompts; needs no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal, NamedTuple

from msgspec import Struct

from engine.errors import EngineError
from engine.words import course as courses
from engine.words.course import STEADY, Course, Point
from engine.words.plain_number import plain_number

TagOrder = Literal["te, unet", "unet, te"]
"""What a tag's second and third field mean: A1111's order, or ComfyUI's and SwarmUI's."""


class LoraTag(Struct, frozen=True):
    """A `<lora:name:…>` tag: the strengths it asks for, and named fields not read here."""

    name: str
    unet: float = 1.0
    """Of one that changes over the steps, the strength of its last point."""
    text_encoder: float = 1.0
    options: tuple[tuple[str, str], ...] = ()
    course: Course = STEADY
    """How the strengths change over the steps."""

    def strengths(self, steps: int) -> list[tuple[float, float]]:
        """The strengths at each step, for the UNet and for the text encoders."""
        return self.course.strengths(steps, self.unet, self.text_encoder)

    def __str__(self) -> str:
        """The tag in a form every program reads alike: one strength, or both by name."""
        unet = _written(self.unet, self.course.unet)
        te = _written(self.text_encoder, self.course.text_encoder)
        strengths = unet if unet == te else f"te={te}:unet={unet}"
        fields = (*self.course.written(), *map("=".join, self.options))
        return ":".join(["<lora", self.name, strengths, *fields]) + ">"


_TAG = re.compile(r"<(?:lora|lyco):([^<>]*)>", re.IGNORECASE)
_ENDS_OF_NAMES = dict.fromkeys(map(ord, "<:>\r\n"))
_MOST_TAGS = 500
_MOST_QUOTED = 80
"""Characters of a tag in a message."""
_NUMBER = re.compile(r"[+-]?([0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})(e[+-]?[0-9]{1,3})?", re.I)


def split_tags(prompt: str, order: TagOrder = "te, unet") -> tuple[str, tuple[LoraTag, ...]]:
    """Take the `<lora:…>` tags out of a prompt; returns the rest, otherwise as written, and them.

    One strength counts for the UNet and the text encoders; two are read in `order`; `te=` and
    `unet=` say it by name and win. A strength may be points over the steps, and further fields say
    when it counts (`engine.words.course`). A name may hold colons where a strength follows. A third
    number is A1111's `dyn=`. Raises `EngineError` for a tag that names no LoRA or whose strength is
    no number, and for more tags than any stack has members.
    """
    found = list(_TAG.finditer(prompt))
    if len(found) > _MOST_TAGS:
        raise EngineError(
            f"The prompt has {len(found):,} LoRA tags; at most {_MOST_TAGS} are read."
        )
    return _TAG.sub("", prompt), tuple(_read_tag(tag[0], tag[1], order) for tag in found)


def tag_names(prompt: str) -> list[str]:
    """The names in a prompt's tags, whatever else is in them."""
    return [_name_and_fields(found[1])[0] for found in _TAG.finditer(prompt)]


def writable_name(name: str) -> str:
    """A name without what would end it in a tag."""
    return name.translate(_ENDS_OF_NAMES)


def _read_tag(tag: str, body: str, order: TagOrder) -> LoraTag:
    name, *fields = _name_and_fields(body)
    if not name:
        raise EngineError(f"The tag “{_quoted(tag)}” names no LoRA; write <lora:name:0.8>.")
    values = [_strength(field, tag) for field in fields if "=" not in field]
    course = STEADY
    named: dict[str, str] = {}
    for field in fields:
        option, is_named, value = (part.strip() for part in field.partition("="))
        if is_named and option in courses.FIELDS:
            with _faults_of(field, tag):
                course = courses.with_field(course, field)
        elif is_named:
            named[option] = value
    for extra in values[2:]:
        named.setdefault("dyn", _written(extra.value, extra.points))
    parts = ("te", "unet") if order == "te, unet" else ("unet", "te")
    # The part a value is missing for follows the other one, as every program has it.
    strengths: dict[str, _Strength] = {}
    strength = _Strength(1.0)
    for i, part in enumerate(parts):
        if part in named:
            strength = _strength(named.pop(part), tag)
        elif i < len(values):
            strength = values[i]
        strengths[part] = strength
    unet, te = strengths["unet"], strengths["te"]
    course = replace(course, unet=unet.points, text_encoder=te.points)
    return LoraTag(name, unet.value, te.value, tuple(named.items()), course)


def _name_and_fields(body: str) -> list[str]:
    """What stands between colons; those before the first strength belong to the name."""
    name, *fields = (field.strip() for field in body.split(":"))
    said = (i for i, field in enumerate(fields) if _is_said(field))
    start = next(said, 0)
    return [":".join([name, *fields[:start]]) if name else "", *fields[start:]]


def _is_said(field: str) -> bool:
    return "=" in field or courses.may_be_points(field) or _NUMBER.fullmatch(field) is not None


class _Strength(NamedTuple):
    value: float
    points: tuple[Point, ...] = ()


def _strength(text: str, tag: str) -> _Strength:
    """A number, or points over the steps."""
    if courses.may_be_points(text):
        with _faults_of(text, tag):
            points = courses.read_points(text)
        return _Strength(points[-1].strength, points)
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise EngineError(
            f"“{_quoted(text)}” in the tag “{_quoted(tag)}” is not a number; write <lora:name:0.8>."
        )
    return _Strength(value)


@contextmanager
def _faults_of(field: str, tag: str) -> Iterator[None]:
    """What is wrong with a field is said with the field and its tag."""
    try:
        yield
    except ValueError as error:
        raise EngineError(f"“{_quoted(field)}” in the tag “{_quoted(tag)}” {error}.") from error


def _written(strength: float, points: tuple[Point, ...]) -> str:
    return courses.write_points(points) if points else plain_number(strength)


def _quoted(text: str) -> str:
    """As much of a text as a message has room for."""
    return text if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]}…"
