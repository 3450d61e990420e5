"""What is wrong in a prompt while it is written: brackets without a partner, unknown LoRAs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from engine.words.clean import clean_line
from engine.words.lora_tags import tag_names
from engine.words.other_tags import ONLY_KNOWN, OTHER_TAG

_TAG = re.compile(r"<(?:lora|lyco):[^<>]*(?:>|$|(?=<))", re.IGNORECASE | re.MULTILINE)
_PARTNERS = {")": "(", "]": "[", "}": "{"}


class Fault(NamedTuple):
    """A part of the prompt, and what is wrong with it."""

    start: int
    end: int
    words: str


def prompt_faults(text: str, why_unknown: Callable[[str], str]) -> list[Fault]:
    """All faults, in their order; `why_unknown` says what is wrong with a LoRA's name, or ""."""
    tags = list(_TAG.finditer(text))
    others = list(OTHER_TAG.finditer(text))
    found = [fault for tag in tags if (fault := _fault_of(tag, why_unknown)) is not None]
    words = f"this is left out: {ONLY_KNOWN}"
    found += [Fault(tag.start(), tag.end(), words) for tag in others]
    without = text
    for tag in (*tags, *others):
        blank = " " * (tag.end() - tag.start())
        without = without[: tag.start()] + blank + without[tag.end() :]
    return sorted([*found, *_lonely_brackets(without)])


def _fault_of(tag: re.Match[str], why_unknown: Callable[[str], str]) -> Fault | None:
    if not tag[0].endswith(">"):
        return Fault(tag.start(), tag.end(), "the tag has no end: >")
    (name,) = tag_names(tag[0]) or [""]
    why = why_unknown(name) if name else "the tag names no LoRA"
    return Fault(tag.start(), tag.end(), clean_line(why, 120)) if why else None


def _lonely_brackets(text: str) -> Iterator[Fault]:
    opened: list[int] = []
    place = 0
    while place < len(text):
        character = text[place]
        if character == "\\":
            place += 1  # what follows is a letter
        elif character in "([{":
            opened.append(place)
        elif character in _PARTNERS:
            if opened and text[opened[-1]] == _PARTNERS[character]:
                opened.pop()
            else:
                words = f"{character} closes nothing; \\{character} is a letter"
                yield Fault(place, place + 1, words)
        place += 1
    for place in opened:
        yield Fault(place, place + 1, f"{text[place]} is not closed; \\{text[place]} is a letter")
