"""What lies where: models, LoRAs, pictures, and the room on their disks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.files.saving import in_words
from engine.protocol.text import gib, plural
from engine.words.clean import clean_line
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.control.finding import Finding

LEAST_FREE = 2 << 30
"""Bytes below which a disk is called full: a model's cache and many pictures need more."""
_MOST_COUNTED = 100_000


def examine_files(settings: AppSettings, kept: Iterable[Path]) -> Iterator[Finding]:
    """Findings about what the settings name, and the folders of `kept`, which are written to."""
    yield _model(settings)
    for name, folders in (
        ("LoRAs", settings.loras), ("models", settings.models), ("embeddings", settings.embeddings),
    ):  # fmt: skip
        for folder in folders:
            yield _folder(name, folder)
    written = {settings.output, *(path.parent for path in kept)}
    yield from map(_written, sorted(written))


def _model(settings: AppSettings) -> Finding:
    if settings.model is None:
        advice = "loraswitch --model FILE opens your own, and remembers it."
        return Finding("model", "hint", "none was chosen: the demo opens", advice)
    name = clean_line(str(settings.model))
    if not settings.model.exists():
        advice = "Choose another with m in the app, or --model FILE."
        return Finding("model", "bad", f"{name} is not there", advice)
    return Finding("model", "good", name)


def _folder(name: str, folder: Path) -> Finding:
    shown = clean_line(str(folder))
    if not folder.is_dir():
        advice = f"Correct --{name.lower()}, or mount the disk it is on."
        return Finding(name, "bad", f"{shown} is not there", advice)
    if not os.access(folder, os.R_OK | os.X_OK):
        return Finding(name, "bad", f"{shown} may not be read", f"chmod u+rx {shown}")
    count = 0
    for files in _files_below(folder):
        count += sum(file.lower().endswith(".safetensors") for file in files)
        if count > _MOST_COUNTED:
            break
    return Finding(name, "good" if count else "hint", f"{shown}: {plural(count, 'file')}")


def _files_below(top: Path) -> Iterator[list[str]]:
    """The files of each real folder once, also behind links: those may lead in circles."""
    seen: set[str] = set()
    for folder, folders, files in os.walk(top, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            folders.clear()
        else:
            seen.add(real)
            yield files


def _written(folder: Path) -> Finding:
    """Whether a folder, or that in which it will be made, can be written to, and has room."""
    shown = clean_line(str(folder))
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        advice = "Choose another: --output FOLDER for pictures, XDG_STATE_HOME and the like."
        return Finding("disk", "bad", f"{shown} cannot be written to", advice)
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding("disk", "bad", f"{shown}: {in_words(error)}")
    words = f"{shown}: {gib(free)} GiB free"
    if free < LEAST_FREE:
        advice = "Make room: pictures and the library's index need some."
        return Finding("disk", "hint", words, advice)
    return Finding("disk", "good", words)
