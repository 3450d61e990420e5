"""Prompts as they are drawn: in styles, and with what is left to chance decided."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import EngineError, FileFormatError
from engine.files.regular_file import read_regular
from engine.files.wildcards import Wildcards
from engine.words.prompt_language.chance import has_chance, resolve_chance
from engine.words.prompt_language.styles import Style, in_styles, parse_styles
from tui_loraswitch.config.settings import AppSettings

MOST_RESOLVED = 100
"""Pictures with prompts of their own that are asked for at once."""
_LARGEST_STYLES = 16 << 20
_SEEDS = 1 << 32


@dataclass
class Resolving:
    """Reads the files of styles and wildcards that the settings name."""

    settings: AppSettings
    notes: dict[str, None] = field(default_factory=dict)
    """Sentences on what was not as it should be."""

    def styled(self, prompt: str, negative: str, names: Sequence[str]) -> tuple[str, str]:
        """Both prompts in styles; raises `EngineError` for styles that are not there."""
        if not names:
            return prompt, negative
        return in_styles(prompt, negative, names, self._styles(self.settings.styles))

    def choices(
        self, texts: Iterable[str], seed: int, count: int
    ) -> Iterator[tuple[int, list[str]]]:
        """So many times a seed, counted up from this one, and what it makes of the texts.

        A seed of -1 is drawn. Raises `EngineError` for more than `MOST_RESOLVED`, and for wildcards
        that are not there.
        """
        if count > MOST_RESOLVED:
            raise EngineError(
                f"A batch of a prompt with choices in it goes up to {MOST_RESOLVED} pictures."
            )
        wildcards = Wildcards(self.settings.wildcards)
        first = random.randrange(_SEEDS) if seed == -1 else seed
        for own in range(first, first + count):
            drawn = []
            for text in texts:
                decided, said = resolve_chance(text, own, wildcards.lines)
                drawn.append(decided)
                self.notes.update(dict.fromkeys(said))
            yield own, drawn

    def _styles(self, path: Path | None) -> dict[str, Style]:
        if path is None:
            raise EngineError("A style needs a file of styles: --styles FILE.")
        try:
            styles, notes = parse_styles(read_regular(path, _LARGEST_STYLES).decode("utf-8"))
        except UnicodeDecodeError as error:
            raise EngineError(f"{path}: the file of styles is no UTF-8 text.") from error
        except (OSError, FileFormatError) as error:
            raise EngineError(f"The file of styles cannot be read: {path}: {error}") from error
        except EngineError as error:
            raise EngineError(f"{path}: {error}.") from error
        self.notes.update(dict.fromkeys(f"{path}: {note}" for note in notes))
        return styles


def leaves_to_chance(texts: Iterable[str]) -> bool:
    """Whether any of the texts has something to decide."""
    return any(map(has_chance, texts))
