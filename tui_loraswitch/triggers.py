"""Which words wake a LoRA: those that are named, told apart from tags of its training."""

from __future__ import annotations

from engine.library.entry import LibraryEntry, TriggerWords

GUESSED = "training tags"
"""The source of words that are only the most frequent tags of the training pictures."""

_COMMON_WORDS = """
a an and are around as at background behind big by close down for from has he her his image in into
is it its large little looking made many next of on one or out over photo picture several she
sitting small solo some standing style that the their there this three to two up very viewer wearing
with 1boy 1girl looking_at_viewer no_humans simple_background white_background
"""
COMMON = frozenset(_COMMON_WORDS.split())
"""Words that are in captions and tags of whatever kind, and so say nothing of a LoRA."""


def named_triggers(entry: LibraryEntry) -> tuple[TriggerWords, ...]:
    """The words that the file or those beside it name as triggers, source by source."""
    return tuple(group for group in entry.trigger_words if group.source != GUESSED)


def best_triggers(entry: LibraryEntry) -> tuple[str, ...]:
    """The words to put into a prompt: the first named ones, else telling tags of the training."""
    named = named_triggers(entry)
    if named:
        return named[0].words
    return tuple(
        word for group in entry.trigger_words for word in group.words if _says_something(word)
    )


def telling_tags(entry: LibraryEntry) -> tuple[tuple[str, int], ...]:
    """Tags of the training pictures with their counts, without words that say nothing."""
    return tuple((tag, count) for tag, count in entry.tags if _says_something(tag))


def _says_something(word: str) -> bool:
    return word.casefold().replace(" ", "_") not in COMMON
