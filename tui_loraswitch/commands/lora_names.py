"""From the names people type to LoRA files: `neon`, `styles/neon:0.8`, `./neon.safetensors`."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from engine.block_weights import PRESETS
from engine.errors import EngineError
from engine.library.entry import LibraryEntry
from engine.library.names import (
    ENDING,
    LibraryNames,
    find_output_name,
    library_key,
    names_for_tags,
    without_ending,
)
from engine.library.walk import FoundFile, Walk
from engine.protocol.refs import LoraRef
from tui_loraswitch.commands.outcome import UsageError
from tui_loraswitch.commands.path_kinds import is_file
from tui_loraswitch.commands.scan import scan_library
from tui_loraswitch.config.config import expanded
from tui_loraswitch.control.wanted_lora import BLOCK_WEIGHTS, TEXT_ENCODER_2, WantedLora

_NUMBER = re.compile(r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)")
_FIELD = re.compile(rf"(?:{TEXT_ENCODER_2}|{BLOCK_WEIGHTS})=.*", re.DOTALL)


def parse_wanted(text: str) -> WantedLora:
    """Read `name`, `name:0.8` or `name:0.8:0.5` (UNet, then text encoders), and named fields.

    A number counts as a strength from the end of the text, so names may hold colons; so do the
    fields `te2=` and `lbw=` after it. Raises ValueError for an empty name.
    """
    parts = text.split(":")
    fields: list[tuple[str, str]] = []
    numbers: list[float] = []
    while len(parts) > 1 and parts != ["", parts[-1]]:
        last = parts[-1]
        if _FIELD.fullmatch(last) and not numbers:
            name, _, value = last.partition("=")
            fields.append((name, value))
        elif len(numbers) < 2 and _NUMBER.fullmatch(last) and math.isfinite(float(last)):
            numbers.append(float(last))
        else:
            break
        parts.pop()
    name = ":".join(parts)
    if not name:
        raise ValueError(text)
    unet = numbers[-1] if numbers else 1.0
    return WantedLora(name, unet, numbers[0] if numbers else unet, tuple(reversed(fields)))


class Library:
    """The LoRA files of some folders by their names; the folders are listed when one is asked for.

    Headers are read only for a name that no file has: its trainer may have called it so.
    """

    def __init__(self, folders: Sequence[Path], index: Path) -> None:
        self._folders = folders
        self._index = index

    def resolve(
        self, wanted: Iterable[WantedLora], presets: Mapping[str, str] = PRESETS
    ) -> tuple[LoraRef, ...]:
        """Find the file of each name.

        Raises `UsageError` for a name that no file has, or that several have, and for block weights
        that cannot be read.
        """
        try:
            return tuple(lora.ref(self._find(lora.name), presets) for lora in wanted)
        except EngineError as error:
            raise UsageError(str(error)) from error

    def written(self, stack: Iterable[LoraRef]) -> tuple[tuple[str, str], ...]:
        """Paths with the names for their tags, where the file's own name means another as well."""
        return names_for_tags(stack, self._names)

    def named(self, name: str) -> Path | None:
        """The file of the library that has this name, if one does.

        Raises `EngineError` where several have it.
        """
        found = self._names.find(name)
        return found.path if found is not None else None

    @cached_property
    def _names(self) -> LibraryNames[FoundFile]:
        visited: set[str] = set()
        found: list[FoundFile] = []
        for folder in self._folders:
            for files in Walk(folder.absolute(), visited):
                found += files
        return LibraryNames.of(found)

    def _find(self, name: str) -> Path:
        """The file meant: one of the library, or a path on disk."""
        if (found := self._names.find(name)) is not None:
            return found.path
        path = expanded(name)
        for candidate in (path, Path(f"{path}{ENDING}")):
            if is_file(candidate):
                return candidate
        problems: list[str] = []
        entries = scan_library(self._folders, self._index, problems.append)
        if (entry := find_output_name(name, entries)) is not None:
            return entry.path
        raise UsageError(" ".join((_unknown(name, entries), *problems)))


def _unknown(name: str, entries: Iterable[LibraryEntry]) -> str:
    known = {key for file in entries for key in (file.path.stem, library_key(file))}
    close = difflib.get_close_matches(without_ending(name), sorted(known), n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else "“loraswitch list” names them."
    return f"There is no LoRA “{name}” in the library, nor a file of that name to be read. {hint}"
