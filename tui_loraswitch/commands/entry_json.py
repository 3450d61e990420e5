"""A library entry as plain data for JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from engine.library.entry import LibraryEntry


def entry_as_json(entry: LibraryEntry) -> dict[str, Any]:
    """All that the library knows of a file; sizes in bytes."""
    return {
        "name": entry.name,
        "path": str(entry.path),
        "library": str(entry.root),
        "folder": entry.folder,
        "size": entry.size,
        "changed": _date(entry.mtime_ns),
        "added": _date(entry.added_ns),
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
        "author": entry.author,
        "licence": entry.licence,
        "description": entry.description,
        "trigger_words": [
            {"source": group.source, "words": list(group.words)} for group in entry.trigger_words
        ],
        "tags": dict(entry.tags),
        "preferred_strength": entry.preferred_strength,
        "negative_text": entry.negative_text,
        "notes": entry.notes,
        "favourite": entry.favourite,
        "sources": dict(entry.sources),
        "previews": list(map(str, entry.previews)),
        "metadata": dict(entry.metadata),
        "problems": list(entry.problems),
        "error": entry.error,
    }


def _date(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat()
