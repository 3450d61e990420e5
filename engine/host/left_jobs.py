"""Jobs that a host has left behind when it died, and that somebody else draws now."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from pathlib import Path

from engine.files.saving import in_words, replace_file
from engine.host.runtime import HostError, HostPlace
from engine.host.saved import encode_saved, read_saved


def take_back(place: HostPlace, state: Path, ids: Container[str]) -> int:
    """Take jobs out of the queue that waits for the next host of this place; returns how many.

    Nothing is done where a host lives: it draws them. Raises `HostError`.
    """
    with place.held() as ours:
        if not ours:
            return 0
        saved = read_saved(state)
        kept = tuple(job for job in saved.jobs if job.id not in ids)
        if len(kept) < len(saved.jobs):
            try:
                replace_file(state, encode_saved(replace(saved, jobs=kept)))
            except OSError as error:
                raise HostError(f"{state}: it cannot be written ({in_words(error)}).") from error
        return len(saved.jobs) - len(kept)
