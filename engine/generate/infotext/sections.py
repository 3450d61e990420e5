"""Cut an infotext into prompt, negative prompt and settings, as A1111 and its kin write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from engine.generate.infotext.fields import is_telling
from engine.generate.infotext.settings_text import KEY, read_settings

NEGATIVE = "Negative prompt:"
_STEPS = re.compile(r"Steps:\s{0,9}[0-9]+\s{0,9}(?:[,|]|$)")
_OPEN_QUOTE = re.compile(r':\s?"(?:[^"\\]|\\.)*+$', re.DOTALL)
_PIPES = re.compile(r"Steps:\s{0,9}[0-9]+ \| ")
"""SD.Next of 2023."""
_STEPS_WITHIN = re.compile(r"(?<=\s)Steps:\s{0,9}[0-9]+\s{0,9},")
_NEGATIVE_WITHIN = re.compile(r"\s" + re.escape(NEGATIVE))
_TEMPLATES = ("Template:", "Negative Template:")
"""What the extension dynamic prompts adds behind the settings."""
_FEWEST_SETTINGS = 3


@dataclass(frozen=True)
class Sections:
    """The parts of an infotext; `fields` in the order written."""

    prompt: str
    negative_prompt: str
    fields: Sequence[tuple[str, str]]


def tidy(text: str) -> str:
    """Lines without blanks at their ends: all that an infotext can carry of a prompt's layout."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.strip() for line in lines).strip()


def split_sections(text: str) -> Sections:
    """Find the settings, and what stands before them.

    They begin at the last line that starts with `Steps:`; else they are the last line, if it has
    three settings as A1111 wants it, one of which no prompt has. SD.Next wraps them over lines.
    """
    lines = tidy(text).split("\n")
    start = _steps_line(lines)
    if start is None:
        lines = _unfold(lines)
        start = _last_settings(lines)
    stop = next(
        (i for i in range(start, len(lines)) if lines[i].startswith(_TEMPLATES)), len(lines)
    )
    fields = read_settings(_join(lines[start:stop])) + _templates(lines[stop:])
    if _is_version(lines[start - 1 : start]) and not any(name == "Version" for name, _ in fields):
        # An old SD.Next has a line before the others.
        start -= 1
        fields += read_settings(lines[start])
    return Sections(*_prompts(lines[:start]), fields)


def _steps_line(lines: Sequence[str]) -> int | None:
    """The last line that starts with the steps, and neither in a quoted value nor in a prompt."""
    places = [i for i, line in enumerate(lines) if _STEPS.match(line)]
    for first, last in pairwise(places):
        if _OPEN_QUOTE.search(" ".join(lines[first:last])):
            places = places[: places.index(last)]
            break
    if not places:
        return None
    rest = lines[places[-1] :]
    is_prompt = any(line.startswith(NEGATIVE) for line in rest) or not _are_settings(rest)
    return None if is_prompt else places[-1]


def _are_settings(lines: Sequence[str]) -> bool:
    """Whether lines from the steps on are settings, and not words like `Steps: 5, to the left`."""
    text = " ".join(lines)
    has_other_words = any(":" not in part for part in text.split(",") if part.strip())
    return not has_other_words or len(read_settings(text)) >= _FEWEST_SETTINGS


def _unfold(lines: list[str]) -> list[str]:
    """Lines that somebody strung together: `a fox Negative prompt: blurry Steps: 20, …`."""
    head, last = lines[:-1], lines[-1]
    starts = [steps.start() for steps in _STEPS_WITHIN.finditer(last)]
    if not starts or _count(last[starts[-1] :]) < _FEWEST_SETTINGS:
        return lines
    prompts, settings = last[: starts[-1]].strip(), last[starts[-1] :]
    if not head and (negative := _NEGATIVE_WITHIN.search(prompts)):
        head, prompts = [prompts[: negative.start()].strip()], prompts[negative.start() :].strip()
    return [*head, prompts, settings]


def _last_settings(lines: Sequence[str]) -> int:
    """Where the settings start that have no steps: at the last line but the templates, or after."""
    stop = next((i for i, line in enumerate(lines) if line.startswith(_TEMPLATES)), len(lines))
    last = stop - 1
    return last if last >= 0 and _count(lines[last]) >= _FEWEST_SETTINGS else len(lines)


def _count(line: str) -> int:
    """How many settings a line has; 0 if a prompt may have them all."""
    settings = read_settings(line)
    return len(settings) if any(is_telling(name) for name, _ in settings) else 0


def _join(lines: Sequence[str]) -> str:
    """One line of settings that were wrapped, between two of them or within one."""
    first, *others = lines or [""]
    if _PIPES.match(first):
        first = first.replace(" | ", ", ")
    parts = [first]
    for line in filter(None, others):
        # What has no colon behind the last comma is the half of a name.
        is_next = ":" in parts[-1].rpartition(",")[2] and KEY.match(line)
        parts.append(f", {line}" if is_next else f" {line}")
    return "".join(parts)


def _templates(lines: Sequence[str]) -> list[tuple[str, str]]:
    """The lines of dynamic prompts, each with those that follow it."""
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith(_TEMPLATES):
            name, _, line = line.partition(":")
            found.append((name, []))
        found[-1][1].append(line.strip())
    return [(name, "\n".join(texts)) for name, texts in found]


def _is_version(lines: Sequence[str]) -> bool:
    return any(line.startswith("Version:") and line.endswith(",") for line in lines)


def _prompts(lines: Sequence[str]) -> tuple[str, str]:
    prompt: list[str] = []
    negative: list[str] = []
    current = prompt
    for line in lines:
        if line.startswith(NEGATIVE):
            current = negative
            line = line.removeprefix(NEGATIVE)
        current.append(line.strip())
    return unescape("\n".join(prompt).strip()), unescape("\n".join(negative).strip())


_MARKED = re.compile(r"^(Negative prompt|Steps):", re.MULTILINE)
_ESCAPED = re.compile(r"^(Negative prompt|Steps)\\:", re.MULTILINE)


def escape(prompt: str) -> str:
    """A prompt without lines that would start something else; a lone backslash means nothing."""
    return _MARKED.sub(r"\1\\:", prompt)


def unescape(prompt: str) -> str:
    """A prompt as it was before `escape`."""
    return _ESCAPED.sub(r"\1:", prompt)
