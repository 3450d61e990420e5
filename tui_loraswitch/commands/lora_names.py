"""From the names people type to LoRA files: `neon`, `styles/neon:0.8`, `./neon.safetensors`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.library.walk import FoundFile, Walk
from engine.refs import LoraRef
from tui_loraswitch.commands.outcome import UsageError
from tui_loraswitch.commands.path_kinds import is_file
from tui_loraswitch.config import expanded

_ENDING = ".safetensors"
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_NAME = re.compile(rf"(?P<name>.+?)(?::(?P<unet>{_NUMBER}))?(?::(?P<te>{_NUMBER}))?", re.DOTALL)
_MAX_CANDIDATES = 10


@dataclass(frozen=True)
class WantedLora:
    """A LoRA by a name that is not resolved yet."""

    name: str
    unet: float = 1.0
    text_encoder: float = 1.0


def parse_wanted(text: str) -> WantedLora:
    """Read `name`, `name:0.8` or `name:0.8:0.5` (UNet, then text encoders).

    A number counts as a strength from the end of the text, so names may hold colons.
    Raises ValueError for an empty name.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    unet = float(match["unet"] or 1)
    return WantedLora(match["name"], unet, float(match["te"]) if match["te"] else unet)


def resolve(wanted: Iterable[WantedLora], folders: Sequence[Path]) -> tuple[LoraRef, ...]:
    """Find the file of each name; the folders are listed once, and no file is opened.

    Raises `UsageError` for a name that no file has, or that several have.
    """
    names = list(wanted)
    library = _Library(folders if names else ())
    return tuple(LoraRef(library.find(lora.name), lora.unet, lora.text_encoder) for lora in names)


class _Library:
    """The LoRA files of some folders by their names."""

    def __init__(self, folders: Sequence[Path]) -> None:
        visited: set[str] = set()
        self._problems: list[str] = []
        self._files: list[FoundFile] = []
        for folder in folders:
            walk = Walk(folder.absolute(), visited)
            for files in walk:
                self._files += files
            self._problems += walk.unlisted.values()

    def find(self, name: str) -> Path:
        """The file meant: by path below a folder, by stem, both in any case, or a path on disk."""
        wanted = name.removesuffix(_ENDING)
        folded = wanted.casefold()
        for found in (
            [file for file in self._files if _key(file) == wanted],
            [file for file in self._files if file.path.stem == wanted],
            [file for file in self._files if _key(file).casefold() == folded],
            [file for file in self._files if file.path.stem.casefold() == folded],
        ):
            if len(found) == 1:
                return found[0].path
            if found:
                raise UsageError(_ambiguous(name, found))
        path = expanded(name)
        for candidate in (path, Path(f"{path}{_ENDING}")):
            if is_file(candidate):
                return candidate
        raise UsageError(self._unknown(name, wanted))

    def _unknown(self, name: str, wanted: str) -> str:
        known = {file.path.stem for file in self._files} | {_key(file) for file in self._files}
        close = difflib.get_close_matches(wanted, sorted(known), n=3)
        hint = f"Did you mean {' or '.join(close)}?" if close else "“loraswitch list” names them."
        fault = f"There is no LoRA “{name}” in the library, nor a file of that name to be read."
        return " ".join((fault, hint, *self._problems))


def _key(file: FoundFile) -> str:
    return file.path.relative_to(file.root).with_suffix("").as_posix()


def _ambiguous(name: str, found: Sequence[FoundFile]) -> str:
    keys = [_key(file) for file in found]
    # Two folders may hold files of the same relative path; then only whole paths tell.
    shown = keys if len(set(keys)) == len(keys) else [str(file.path) for file in found]
    more = f" and {len(shown) - _MAX_CANDIDATES} more" if len(shown) > _MAX_CANDIDATES else ""
    return f"“{name}” may mean {', '.join(shown[:_MAX_CANDIDATES])}{more}: write the one you mean."
