"""From the names people type to LoRA files: `neon`, `styles/neon:0.8`, `./neon.safetensors`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from engine.block_weights import PRESETS
from engine.errors import EngineError
from engine.library.walk import FoundFile, Walk
from engine.refs import LoraRef
from tui_loraswitch.commands.outcome import UsageError
from tui_loraswitch.commands.path_kinds import is_file
from tui_loraswitch.config import expanded
from tui_loraswitch.lora_names import ENDING, find_named, library_key
from tui_loraswitch.wanted_lora import BLOCK_WEIGHTS, TEXT_ENCODER_2, WantedLora

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_WANTED = re.compile(
    rf"""(?P<name>.+?)
    (?::(?P<unet>{_NUMBER}))?
    (?::(?P<te>{_NUMBER}))?
    (?P<fields>(?::(?:{TEXT_ENCODER_2}|{BLOCK_WEIGHTS})=[^:]*)*)""",
    re.DOTALL | re.VERBOSE,
)


def parse_wanted(text: str) -> WantedLora:
    """Read `name`, `name:0.8` or `name:0.8:0.5` (UNet, then text encoders), and named fields.

    A number counts as a strength from the end of the text, so names may hold colons; so do the
    fields `te2=` and `lbw=` after it. Raises ValueError for an empty name.
    """
    match = _WANTED.fullmatch(text)
    if match is None:
        raise ValueError(text)
    unet = float(match["unet"] or 1)
    text_encoder = float(match["te"]) if match["te"] else unet
    fields = (field.partition("=") for field in match["fields"].split(":")[1:])
    return WantedLora(
        match["name"], unet, text_encoder, tuple((name, value) for name, _, value in fields)
    )


def resolve(
    wanted: Iterable[WantedLora], folders: Sequence[Path], presets: Mapping[str, str] = PRESETS
) -> tuple[LoraRef, ...]:
    """Find the file of each name; the folders are listed once, and no file is opened.

    Raises `UsageError` for a name that no file has, or that several have, and for block weights
    that cannot be read.
    """
    loras = list(wanted)
    library = _Library(folders if loras else ())
    try:
        return tuple(lora.ref(library.find(lora.name), presets) for lora in loras)
    except EngineError as error:
        raise UsageError(str(error)) from error


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
        """The file meant: one of the library, or a path on disk."""
        found = find_named(name, self._files)
        if found is not None:
            return found.path
        path = expanded(name)
        for candidate in (path, Path(f"{path}{ENDING}")):
            if is_file(candidate):
                return candidate
        raise UsageError(self._unknown(name))

    def _unknown(self, name: str) -> str:
        known = {key for file in self._files for key in (file.path.stem, library_key(file))}
        close = difflib.get_close_matches(name.removesuffix(ENDING), sorted(known), n=3)
        hint = f"Did you mean {' or '.join(close)}?" if close else "“loraswitch list” names them."
        fault = f"There is no LoRA “{name}” in the library, nor a file of that name to be read."
        return " ".join((fault, hint, *self._problems))
