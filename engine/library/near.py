"""Names near to what was typed, for when nothing matches."""

from __future__ import annotations

from collections.abc import Sequence

_ENOUGH = 60.0
"""Of 100: a letter wrong, missing or swapped in a short word, some in a long one."""
_PORTION = 2_000
"""Names compared at once: between two portions other threads run."""


def near(text: str, names: Sequence[str], limit: int = 30) -> list[int]:
    """The places of the names that are most like a text, the nearest first; none where none is."""
    from rapidfuzz import fuzz, process

    found: list[tuple[float, int]] = []
    for start in range(0, len(names), _PORTION):
        portion = names[start : start + _PORTION]
        best = process.extract(text, portion, scorer=fuzz.WRatio, score_cutoff=_ENOUGH, limit=limit)
        found += [(-score, start + place) for _, score, place in best]
    return [place for _, place in sorted(found)[:limit]]
