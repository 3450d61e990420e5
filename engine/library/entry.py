"""One LoRA of the library, as the list and the details show it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from posixpath import basename, dirname, splitext

from msgspec import Struct

from engine.words.clean import clean_line


class TriggerWords(Struct, frozen=True):
    """Words that wake a LoRA, and where they were found (sources disagree: show each)."""

    source: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class LibraryEntry:
    """A LoRA file with what its header and the files beside it say; plain data, no tensors.

    Identity is `key`: the path relative to its library folder, so two files of one name in two
    folders stay two. Text fields are stripped of control characters, ready for a terminal.
    """

    path: Path
    root: Path
    """The library folder it was found under."""
    size: int
    """Bytes."""
    mtime_ns: int
    inode: int
    family: str = ""
    """Such as `LoRA`, `LoHa`, `DoRA`; empty when unreadable."""
    rank: int | None = None
    alpha: float | None = None
    base_model: str = ""
    """`SDXL`, or what else the file is for; empty when it cannot be told."""
    base_evidence: str = ""
    """Why `base_model` says so, in words."""
    base_variant: str = ""
    """What people call this SDXL: `Pony`, `Illustrious`, `NoobAI`; empty where nothing tells."""
    modules: int = 0
    parts: tuple[str, ...] = ()
    """Which parts it changes: `UNet`, `TE1`, `TE2`."""
    title: str = ""
    description: str = ""
    author: str = ""
    licence: str = ""
    trigger_words: tuple[TriggerWords, ...] = ()
    tags: tuple[tuple[str, int], ...] = ()
    """Training tags with their counts, most frequent first; 0 where no count is known."""
    preferred_strength: float | None = None
    negative_text: str = ""
    notes: str = ""
    previews: tuple[Path, ...] = ()
    """Pictures beside the file, the preferred one first; those in the header are read on demand."""
    metadata: tuple[tuple[str, str], ...] = ()
    """The header's own metadata, cleaned, long values cut, without pictures and empty values."""
    problems: tuple[str, ...] = ()
    """What beside the file cannot be read, and why, in sentences."""
    error: str = ""
    """Why the file cannot be used; empty when it can."""
    sources: tuple[tuple[str, str], ...] = ()
    """Who says it: names of the fields above, each with `A1111`, `Civitai`, `header` …"""
    favourite: bool = False
    """Whether another program that keeps files beside it has it as a favourite."""
    added_ns: int = 0
    """When the library saw it first; 0 where that is not kept."""

    def said_by(self, name: str) -> str:
        """Who says what stands in this field; empty where nobody is known."""
        return dict(self.sources).get(name, "")

    @cached_property
    def key(self) -> str:
        """Identity within the library: the path below its folder, with forward slashes."""
        # As text: ten thousand paths of pathlib take a third of a second.
        return str(self.path).removeprefix(str(self.root)).lstrip("/")

    @cached_property
    def name(self) -> str:
        """File name without its ending, fit for a terminal (`path` is the exact one)."""
        return clean_line(splitext(basename(self.key))[0])

    @cached_property
    def folder(self) -> str:
        """Folder below the library folder, with forward slashes; empty at the top."""
        return clean_line(dirname(self.key))

    @cached_property
    def place(self) -> str:
        """The library folder and the folder below it, as one text: the same for neighbours."""
        # One object for all of them, which a list of thousands is grouped by at each keystroke.
        return sys.intern(f"{self.root}\n{self.folder}")

    @property
    def base_label(self) -> str:
        """The base model with its variant, for people: `SDXL Pony`."""
        return " ".join(filter(None, (self.base_model, self.base_variant)))

    @cached_property
    def fits_sdxl(self) -> bool:
        """True when the file can be applied to SDXL as far as its header tells."""
        return not self.error and self.base_model in ("SDXL", "")
