"""The prompts of before, gone through from the newest on."""

from __future__ import annotations

from pathlib import Path

from engine.store.database import Database
from engine.store.prompts import PROMPTS, PromptStore, StoredPrompt


def read_history(store: Path) -> list[StoredPrompt]:
    """All that are kept, newest first. Raises `StoreError`."""
    with Database(store, PROMPTS) as database:
        return PromptStore(database).newest()


class PromptHistory:
    """Where somebody is between the prompts of before and the one being written."""

    def __init__(self) -> None:
        self._prompts: list[StoredPrompt] = []
        self._written = StoredPrompt("", "")
        self._place = -1
        """-1 is what is being written."""

    @property
    def is_begun(self) -> bool:
        """Whether an earlier prompt is shown just now."""
        return self._place >= 0

    def begin(self, prompts: list[StoredPrompt], written: StoredPrompt) -> None:
        """Start at what is being written; its like among those of before is passed over."""
        same = (written.prompt, written.negative_prompt)
        self._prompts = [p for p in prompts if (p.prompt, p.negative_prompt) != same]
        self._written, self._place = written, -1

    def turn(self, by: int) -> StoredPrompt | None:
        """The one before (1) or after (-1); None where there is none."""
        place = self._place + by
        if not -1 <= place < len(self._prompts):
            return None
        self._place = place
        return self._prompts[place] if place >= 0 else self._written

    def follow(self, written: StoredPrompt) -> None:
        """What is written now is something else than what was shown: go on from there."""
        if self.is_begun:
            shown = self._prompts[self._place]
            if (shown.prompt, shown.negative_prompt) != (written.prompt, written.negative_prompt):
                self._place = -1

    @property
    def words(self) -> str:
        """Where somebody is."""
        return f"prompt {self._place + 1} of {len(self._prompts)} before" if self.is_begun else ""


def matching(prompts: list[StoredPrompt], words: str) -> list[StoredPrompt]:
    """Those that have all of the words, in any case."""
    wanted = words.casefold().split()
    texts = (f"{one.prompt}\n{one.negative_prompt}".casefold() for one in prompts)
    pairs = zip(prompts, texts, strict=True)
    return [one for one, text in pairs if all(word in text for word in wanted)]
