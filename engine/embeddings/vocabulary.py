"""The textual inversions that the prompts of one picture name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from engine.embeddings.inversion import TextualInversion
from engine.embeddings.words import split_at_names
from engine.words.prompt import ParsedPrompt


@dataclass(frozen=True)
class Vocabulary:
    """Textual inversions by the names prompts use for them, and what went wrong with others."""

    inversions: Mapping[str, TextualInversion] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    """A sentence for each name that stands for nothing usable."""

    @property
    def hashes(self) -> tuple[tuple[str, str], ...]:
        """Each inversion's name and hash, as infotexts give them."""
        by_name = {inv.name: inv.infotext_hash for inv in self.inversions.values()}
        return tuple(by_name.items())

    def split(self, text: str) -> Iterator[str | TextualInversion]:
        """Cut a text at the inversions it names; unknown ones after `embedding:` are left out."""
        for item in split_at_names(text, self.inversions):
            if isinstance(item, str):
                yield item
            elif item.known:
                yield self.inversions[item.name]

    def used_in(self, prompt: ParsedPrompt) -> tuple[tuple[str, str], ...]:
        """Name and digest of each inversion in a prompt, in order: all that they add to it."""
        return tuple(
            (item.name, item.digest)
            for part in prompt.parts
            for piece in part
            for item in self.split(piece.text)
            if isinstance(item, TextualInversion)
        )


NO_EMBEDDINGS = Vocabulary()
