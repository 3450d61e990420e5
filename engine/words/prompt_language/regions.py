"""Regions of a picture with prompts of their own, in the words of A1111's Regional Prompter.

`sky ADDROW fox ADDCOL cat`: rows from top to bottom, in each row columns from left to right.
`all of them ADDCOMM` before the regions stands before the text of each, `whole picture ADDBASE` is
a prompt for all of the picture. A region's `<lora:…>` tags are in its text, and count there alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

from msgspec import Struct

from engine.errors import EngineError
from engine.words.lora_tags import LoraTag, TagOrder, split_tags
from engine.words.prompt_language.notes import quoted

MOST_REGIONS = 64

_WORD = re.compile(r"\b(ADDCOMM|ADDBASE|ADDCOL|ADDROW)\b")
_RATIO = re.compile(r"[0-9]{1,6}(?:\.[0-9]{0,6})?|\.[0-9]{1,6}")


class Box(NamedTuple):
    """Edges as shares of the width and the height, from the upper left corner."""

    x0: float
    y0: float
    x1: float
    y1: float


WHOLE = Box(0.0, 0.0, 1.0, 1.0)


class Region(Struct, frozen=True):
    """A part of the picture and its prompt, with the tags of its own LoRAs."""

    text: str
    box: Box = WHOLE
    kind: Literal["box", "mask"] = "box"
    """Of kind `mask`, its place in `regions` is the number of its mask."""


class Regions(Struct, frozen=True):
    """A prompt with regions; one without has a base alone."""

    base: str
    """Empty: the regions alone make the picture."""
    regions: tuple[Region, ...] = ()
    notes: tuple[str, ...] = ()


def read_regions(text: str, ratios: str = "", masks: bool = False) -> Regions:
    """Read the regions of a prompt; without their words, all of it is the base.

    `ratios` are Regional Prompter's: `1,2` for two columns or two rows; `1,2,1;3,1` for rows of the
    heights 1 and 3, the first with columns 2 and 1. Left out, or not as many as there are regions
    (that is noted), all are alike. With `masks` the regions have no boxes: their places are masks.
    Raises `EngineError` for words out of place, ratios that are none, and too many regions.
    """
    common, base, rest = _beginning(text)
    words = rest[1::2]
    if not words and common is None and base is None:
        return Regions(text)
    count = len(words) + 1
    if count > MOST_REGIONS:
        raise EngineError(f"The prompt has {count:,} regions; at most {MOST_REGIONS} are drawn.")
    texts = [_joined(common or "", part.strip()) for part in rest[::2]]
    notes = tuple(f"Region {n} has no prompt." for n, part in enumerate(texts, 1) if not part)
    if masks:
        regions = tuple(Region(part, kind="mask") for part in texts)
        return Regions(base or "", regions, notes)
    columns = [1]
    for word in words:
        if word == "ADDROW":
            columns.append(1)
        else:
            columns[-1] += 1
    heights, widths = _equal(columns)
    if ratios.strip():
        fitting = _fitted(_read_ratios(ratios), columns)
        if fitting is None:
            notes += (f"The ratios {quoted(ratios)} do not fit the regions; all are alike.",)
        else:
            heights, widths = fitting
    boxes = _boxes(heights, widths)
    return Regions(base or "", tuple(map(Region, texts, boxes)), notes)


def tags_by_region(
    text: str, order: TagOrder = "te, unet"
) -> tuple[tuple[LoraTag, ...], tuple[tuple[LoraTag, ...], ...]]:
    """The `<lora:…>` tags that count in all of the picture, and those of each region.

    Raises `EngineError` for tags and regions that cannot be read.
    """
    found = read_regions(text)
    own = tuple(split_tags(region.text, order)[1] for region in found.regions)
    return split_tags(found.base, order)[1], own


def write_regions(text: str, whole: Sequence[str], own: Sequence[Sequence[str]]) -> str:
    """A prompt with regions, with these tags in place of its own: for all, and by region.

    Everything else stays as it was typed. Raises as `read_regions`.
    """
    by_region = iter(own or [()] * len(read_regions(text).regions))
    texts, words = (_WORD.split(text)[start::2] for start in (0, 1))
    written = ""
    for number, part in enumerate(texts):
        word = words[number] if number < len(words) else ""
        if word == "ADDBASE":
            tags, whole = whole, ()
        else:
            tags = () if word == "ADDCOMM" else next(by_region, ())
        written += _spaced(_with_tags(part, tags), words[number - 1 : number], word) + word
    return f"{' '.join(whole)} ADDBASE {written.lstrip()}" if whole else written.strip()


def _with_tags(text: str, tags: Sequence[str]) -> str:
    """A text with these tags at its end, in place of those in it."""
    bare = split_tags(text)[0]
    if not tags:
        return bare
    body = bare.rstrip()
    # Beside a tag that is gone there are two blanks.
    end = bare[len(body) :] if bare == text else " "
    return " ".join(filter(None, (body, *tags))) + (end or " ")


def _spaced(text: str, before: Sequence[str], after: str) -> str:
    """A text that is no part of the words around it, now that tags are gone from between."""
    start = " " if before and re.match(r"\w", text) else ""
    end = " " if after and re.search(r"\w\Z", text) else ""
    return f"{start}{text}{end}"


def _beginning(text: str) -> tuple[str | None, str | None, list[str]]:
    """The common prompt, the base prompt, and what follows: texts with words between."""
    pieces = _WORD.split(text)
    said: dict[str, str] = {}
    while len(pieces) > 1 and pieces[1] in ("ADDCOMM", "ADDBASE"):
        if pieces[1] in said:
            raise EngineError(f"{pieces[1]} stands twice in the prompt; it has one place.")
        said[pieces[1]] = pieces[0].strip()
        del pieces[:2]
    for word in ("ADDCOMM", "ADDBASE"):
        if word in pieces[1::2]:
            raise EngineError(f"{word} stands after a region; write it before ADDCOL and ADDROW.")
    return said.get("ADDCOMM"), said.get("ADDBASE"), pieces


def _joined(common: str, text: str) -> str:
    return ", ".join(part for part in (common, text) if part)


_Ratios = tuple[Sequence[float], Sequence[Sequence[float]]]
"""Of the rows, and of the columns in each."""


def _equal(columns: Sequence[int]) -> _Ratios:
    return [1.0] * len(columns), [[1.0] * count for count in columns]


def _read_ratios(ratios: str) -> list[list[float]]:
    rows: list[list[float]] = []
    for row in ratios.split(";"):
        numbers = [part.strip() for part in row.split(",")]
        for number in numbers:
            if not _RATIO.fullmatch(number) or float(number) == 0:
                raise EngineError(
                    f"{quoted(number)} is no ratio of regions; write 1,2 or 1,2,1;3,1."
                )
        rows.append(list(map(float, numbers)))
    return rows


def _fitted(rows: Sequence[Sequence[float]], columns: Sequence[int]) -> _Ratios | None:
    """The ratios of rows and columns, if they are as many as there are regions."""
    if len(rows) == 1 and len(rows[0]) == len(columns) and set(columns) == {1}:
        return rows[0], [[1.0]] * len(columns)
    if len(rows) != len(columns):
        return None
    heights: list[float] = []
    widths: list[Sequence[float]] = []
    for numbers, count in zip(rows, columns, strict=True):
        if len(numbers) not in (count, count + 1):
            return None
        has_height = len(numbers) > count or (count == 1 and len(columns) > 1)
        heights.append(numbers[0] if has_height else 1.0)
        widths.append(numbers[-count:])
    return heights, widths


def _boxes(heights: Sequence[float], widths: Sequence[Sequence[float]]) -> Iterator[Box]:
    for (top, bottom), row in zip(_edges(heights), widths, strict=True):
        for left, right in _edges(row):
            yield Box(left, top, right, bottom)


def _edges(parts: Sequence[float]) -> list[tuple[float, float]]:
    """Beginning and end of each part, as shares; neighbours have one edge, the last ends in 1."""
    total = sum(parts)
    ends = [end / total for end in accumulate(parts)]
    ends[-1] = 1.0
    return list(zip([0.0, *ends], ends, strict=False))
