"""Find textual inversions named in a text: by a word (A1111) or `embedding:name` (ComfyUI)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

PREFIX = "embedding:"


@dataclass(frozen=True)
class Named:
    """A place in a text that names a textual inversion; an unknown one has the prefix before it."""

    name: str
    known: bool


def split_at_names(text: str, names: Iterable[str]) -> Iterator[str | Named]:
    """Cut a text where it names one of `names`, in any case; the longest name counts.

    A bare name must be a word: letters, digits, `_` and `-` around it make it another one. After
    `embedding:` comes a name, with its ending or without.
    """
    lowered = text.lower()
    found = sorted({name for name in names if name.lower() in lowered}, key=len, reverse=True)
    if not found and PREFIX not in lowered:
        yield text
        return
    # Groups tell which name it was: letters can be equal in more ways than a look-up knows.
    known = "|".join(f"({re.escape(name)})" for name in found) or "(?!)"
    pattern = re.compile(
        rf"(?:(?<![\w-]){PREFIX}(?:(?:{known})(?:\.(?:safetensors|pt|bin))?(?![\w-])|(?P<unknown>[^\s,]+)))"
        rf"|(?<![\w-])(?:{known})(?![\w-])",
        re.IGNORECASE,
    )
    end = 0
    for match in pattern.finditer(text):
        yield text[end : match.start()]
        end = match.end()
        if match["unknown"] is not None:
            yield Named(match["unknown"], known=False)
            continue
        # The unknown name's group stands between the two lists of known ones.
        index = (match.lastindex or 1) - 1
        yield Named(found[index if index < len(found) else index - len(found) - 1], known=True)
    yield text[end:]
