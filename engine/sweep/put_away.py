"""Where the picture of a cell lies: it is drawn in one place, and then put in another."""

from __future__ import annotations

from pathlib import Path

from engine.sweep.folder import DRAWING, SweepFolder


def put_away(picture: Path) -> Path:
    """Where a picture lies now that was drawn at `picture`; that path itself if nobody moved it."""
    if DRAWING not in picture.parts or picture.exists():
        return picture
    at = picture.parts.index(DRAWING)
    folder = SweepFolder(Path(*picture.parts[:at]))
    key = picture.parts[at + 1]
    return folder.place_of(key) or picture
