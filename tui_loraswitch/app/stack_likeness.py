"""A warning when two members of the stack pull on the same thing."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import FileFormatError
from engine.protocol.stack_edits import Stack
from engine.words.clean import clean_line
from tui_loraswitch.panes.background import in_background

if TYPE_CHECKING:
    from tui_loraswitch.app.app_base import AppBase

ALIKE = 0.4
"""The cosine from which two LoRAs are told of; those of two different things are near 0."""
_SETTLE = 0.8
"""Seconds that the stack stays as it is before its files are compared."""


class StackLikeness:
    """Compares the members of the stack, each pair once, and says which are much alike."""

    def __init__(self, app: AppBase) -> None:
        self._app = app
        self._members: frozenset[Path] = frozenset()
        self._compared: set[frozenset[Path]] = set()

    def follow(self, stack: Stack) -> None:
        """The stack is like this now."""
        members = frozenset(Path(ref.path) for ref in stack)
        if members != self._members:
            self._members = members
            if len(members) > 1:
                self._app.set_timer(_SETTLE, lambda: self._compare(members))

    def _compare(self, members: frozenset[Path]) -> None:
        if members != self._members:
            return
        pairs = {frozenset(pair) for pair in combinations(members, 2)} - self._compared
        self._compared |= pairs
        if pairs:
            self._app.run_worker(self._tell(pairs), name="likeness", group="likeness")

    async def _tell(self, pairs: set[frozenset[Path]]) -> None:
        for pair in pairs:
            for words in await in_background(_words, *sorted(pair)):
                self._app.warn(words)


def _words(one: Path, other: Path) -> list[str]:
    from engine.lora.effect import likeness

    try:
        found = likeness(one, other)
    except FileFormatError:
        return []  # its switch says what is wrong with it
    if abs(found.cosine) < ALIKE:
        return []
    pull = "pull on the same thing" if found.cosine > 0 else "pull against each other"
    names = f"{clean_line(one.stem, 60)} and {clean_line(other.stem, 60)}"
    return [f"{names} {pull}: cosine {found.cosine:.2f} over {found.shared} modules."]
