"""Which words wake a LoRA: in groups, ready for a prompt; named ones told from training tags."""

from __future__ import annotations

import re

from msgspec import Struct

from engine.library.entry import LibraryEntry
from tui_loraswitch.control.prompt_words import comma_items, escaped, plain_words, without_tags

GUESSED = "training tags"
"""The source of words that are only the most frequent tags of the training pictures."""
_RAW_SOURCES = (GUESSED, "class tokens")
"""Sources whose words were captions: no bracket in them is meant as a prompt's."""
_PROMPT_SOURCES = ("A1111",)
"""Sources whose words were written as a piece of a prompt: they are left as they are."""

_COMMON_WORDS = """
a an and are around as at background behind big by close down for from has he her his image in into
is it its large little looking made many next of on one or out over photo picture several she
sitting small solo some standing style that the their there this three to two up very viewer wearing
with 1boy 1girl looking_at_viewer no_humans simple_background white_background
"""
COMMON = frozenset(_COMMON_WORDS.split())
"""Words that are in captions and tags of whatever kind, and so say nothing of a LoRA."""

_IN_ROUND_BRACKETS = re.compile(r"(?:\([^()\[\]]*\)[_ ]*)+")
_WEIGHT = re.compile(r":\s*[+-]?[\d.]+\s*\)")
_MOST_WORDS = 4
"""Of a name before its brackets; a sentence with an emphasis at its end has more."""


class TriggerGroup(Struct, frozen=True):
    """Words that belong together, as they go into a prompt, and who names them."""

    text: str
    source: str


def trigger_groups(entry: LibraryEntry) -> tuple[TriggerGroup, ...]:
    """All groups of words for a prompt, the user's own first; each once.

    Where nobody names any, the telling tags of the training pictures are one group.
    """
    named = (
        TriggerGroup(_for_prompt(group, words.source), words.source)
        for words in entry.trigger_words
        if words.source != GUESSED
        for group in words.words
    )
    each_once: dict[str, TriggerGroup] = {}
    for group in named:
        if group.text:
            each_once.setdefault(plain_words(group.text), group)
    if each_once:
        return tuple(each_once.values())
    tags = (w for words in entry.trigger_words for w in words.words if _says_something(w))
    text = ", ".join(map(escaped, tags))
    return (TriggerGroup(text, GUESSED),) if text else ()


def best_triggers(entry: LibraryEntry) -> tuple[str, ...]:
    """The groups of the first who names any, else telling tags of the training."""
    groups = trigger_groups(entry)
    return tuple(group.text for group in groups if group.source == groups[0].source)


def telling_tags(entry: LibraryEntry) -> tuple[tuple[str, int], ...]:
    """Tags of the training pictures with their counts, without words that say nothing."""
    return tuple((tag, count) for tag, count in entry.tags if _says_something(tag))


def _says_something(word: str) -> bool:
    return word.casefold().replace(" ", "_") not in COMMON


def _for_prompt(group: str, source: str) -> str:
    """A group of words as it means in a prompt what it means where it was written."""
    text = without_tags(group)
    if source in _PROMPT_SOURCES or r"\(" in text or r"\[" in text:
        # Who escapes some brackets means the others.
        return text
    if source in _RAW_SOURCES:
        return escaped(text)
    items = comma_items(text)
    if not any(map(_is_raw_tag, items)):
        return text
    return ", ".join(escaped(item) if _is_raw_tag(item) else item for item in items)


def _is_raw_tag(item: str) -> bool:
    """Whether the brackets of an item are letters of a tag, and no emphasis.

    So they are in `:(`, and in `saber_(fate)`: a name with what it is from behind it.
    """
    if item.count("(") != item.count(")") or item.count("[") != item.count("]"):
        return True
    name = item.partition("(")[0]
    return (
        name[-1:] not in ("", *"[]")
        and len(name.split()) <= _MOST_WORDS
        and _IN_ROUND_BRACKETS.fullmatch(item, len(name)) is not None
        and _WEIGHT.search(item) is None
    )
