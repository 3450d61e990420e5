"""A library entry as plain data for JSON."""

from __future__ import annotations

from typing import Any

from engine.library.entry import LibraryEntry


def entry_as_json(entry: LibraryEntry) -> dict[str, Any]:
    """What the library knows of a file, without its long texts; sizes in bytes."""
    return {
        "name": entry.name,
        "path": str(entry.path),
        "folder": entry.folder,
        "size": entry.size,
        "fits_sdxl": entry.fits_sdxl,
        "base_model": entry.base_model,
        "base_evidence": entry.base_evidence,
        "base_variant": entry.base_variant,
        "family": entry.family,
        "rank": entry.rank,
        "alpha": entry.alpha,
        "modules": entry.modules,
        "parts": list(entry.parts),
        "title": entry.title,
        "trigger_words": [
            {"source": group.source, "words": list(group.words)} for group in entry.trigger_words
        ],
        "preferred_strength": entry.preferred_strength,
        "problems": list(entry.problems),
        "error": entry.error,
    }
