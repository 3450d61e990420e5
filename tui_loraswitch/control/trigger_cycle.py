"""Going through the trigger words of a LoRA: one group after the other into the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from tui_loraswitch.control.prompt_words import joined, missing
from tui_loraswitch.control.triggers import trigger_groups


@dataclass(frozen=True)
class Insertion:
    """A group of words put into a prompt: the prompt before and after, and which group it is."""

    path: Path
    before: str
    after: str
    number: int
    """From 0."""
    count: int
    """Of the LoRA's groups."""


class TriggerCycle:
    """Puts the first group that is missing into the prompt, and then the next in its place.

    Only what it has put there itself is taken out, and only while the prompt is as it left it.
    """

    def __init__(self) -> None:
        self._last: Insertion | None = None

    def insert(self, entry: LibraryEntry, prompt: str) -> Insertion:
        """The next group of words of `entry`; raises `EngineError` when there is none to put in."""
        groups = trigger_groups(entry)
        if not groups:
            raise EngineError(f"{entry.name} names no trigger words.")
        last = self._last
        if last is None or last.path != entry.path or last.after != prompt:
            last = None
        before = last.before if last else prompt
        first = last.number + 1 if last else 0
        for number in ((first + i) % len(groups) for i in range(len(groups))):
            if last and number == last.number:
                break
            if items := missing(before, groups[number].text):
                after = joined(before, items)
                self._last = Insertion(entry.path, before, after, number, len(groups))
                return self._last
        raise EngineError(f"The trigger words of {entry.name} are already in the prompt.")
