"""What is said about a LoRA, by its header and by the files beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

from engine.library.entry import TriggerWords
from engine.words.clean import clean_line

MAX_WORDS = 50
"""Trigger words kept of one source."""
_MAX_TEXTS = 10 * MAX_WORDS
"""Texts looked at for them; many may be empty or the same."""
MAX_GROUP = 4_000
"""Characters of one group of them: some describe a whole dress."""
MAX_TAGS = 60
"""Tags kept of one file."""


@dataclass(frozen=True)
class Description:
    """One source's words about a LoRA, cleaned and bounded; what it does not say is empty."""

    title: str = ""
    description: str = ""
    author: str = ""
    licence: str = ""
    trigger_words: tuple[TriggerWords, ...] = ()
    tags: tuple[tuple[str, int], ...] = ()
    preferred_strength: float | None = None
    negative_text: str = ""
    notes: str = ""
    base_model: str = ""
    """What the source calls the base model, in its own words."""
    favourite: bool = False
    """Whether another program has it as a favourite."""
    source: str = ""
    """Who says all this: `A1111`, `Civitai`, `header`; empty of what several say."""
    sources: tuple[tuple[str, str], ...] = ()
    """Of what several say: for each of these names, who has said it."""
    problems: tuple[str, ...] = ()
    """What could not be read, and why, in sentences."""


def merge(descriptions: Iterable[Description]) -> Description:
    """Join what several sources say: the first to say anything wins.

    Trigger words and problems add up.
    """
    sources = list(descriptions)
    merged: dict[str, Any] = {}
    sayers: dict[str, str] = {}
    for source in reversed(sources):
        # As a table: thousands of files are merged in a scan.
        table = source.__dict__
        for name in _NAMES:
            value = table[name]
            if value or type(value) is float:
                merged[name], sayers[name] = value, source.source
    merged["sources"] = tuple((name, sayer) for name, sayer in sayers.items() if sayer)
    merged["trigger_words"] = _all_trigger_words(sources)
    merged["problems"] = tuple(problem for source in sources for problem in source.problems)
    return Description(**merged)


_NAMES = tuple(
    field.name
    for field in fields(Description)
    if field.name not in ("source", "sources", "problems", "trigger_words")
)


def _all_trigger_words(sources: Iterable[Description]) -> tuple[TriggerWords, ...]:
    """Every source's words once; a source that only repeats another's adds nothing."""
    found: list[TriggerWords] = []
    for source in sources:
        for trigger in source.trigger_words:
            if trigger.words and all(trigger.words != known.words for known in found):
                found.append(trigger)
    return tuple(found)


def trigger_words(source: str, texts: Iterable[str]) -> tuple[TriggerWords, ...]:
    """Label words with their source; none when there are no words.

    A text may itself be a group such as `neon glow, night city`, which stays together.
    """
    words: dict[str, None] = {}
    for text in islice(texts, _MAX_TEXTS):
        if text and (line := clean_line(text, MAX_GROUP).strip(" ,")):
            words[line] = None
    return (TriggerWords(source, tuple(words)[:MAX_WORDS]),) if words else ()
