"""The names of a file's modules in a form in which families can be looked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

from engine.lora.key_names import WRAPPERS, outermost

_FLAT = str.maketrans(".-", "__")
_NUMBERS = str.maketrans("0123456789", "##########")

_WRAPPERS = re.compile(
    rf"""^(?:lora_unet[._]|oft_unet_|lycoris_unet_|lora_transformer[._]|lycoris_
        |diffusion_model\.|unet\.|transformer\.|net\.|dit\.|{WRAPPERS})+""",
    re.VERBOSE | re.MULTILINE,
)
"""What programs write before the names of the denoising network."""


@dataclass
class _Seen:
    """Modules whose names differ in numbers alone: one of them, and the widths of all."""

    example: str
    widths: set[int] = field(default_factory=set)


class ModuleNames:
    """The modules of a file by flat name: `down_blocks_1_attentions_0_proj_in`."""

    def __init__(self, modules: Mapping[str, int | None]) -> None:
        """Take modules by name with the width of their inputs, where it is known."""
        # All names in one text, since a call for each of a thousand would be what takes the time.
        text = outermost("\n".join(name.replace("\n", " ") for name in modules))
        # diffusers once put its LoRAs into attention processors.
        self._dotted = _WRAPPERS.sub("", text).replace(".processor.to_", ".to_")
        self._all = self._dotted.translate(_FLAT)
        names = self._all.split("\n")
        self.widths = dict(zip(names, modules.values(), strict=False))
        self._seen: dict[str, _Seen] = {}
        kinds = _without_numbers(self._all).split("\n")
        for kind, name, width in zip(kinds, names, modules.values(), strict=False):
            seen = self._seen.setdefault(kind, _Seen(name))
            if width is not None:
                seen.widths.add(width)

    def first_with(self, mark: str) -> str | None:
        """The first module's name that bears a mark of a family; None when there is none.

        `^` and `$` in a mark are the ends of a name and `#` is any number. A mark with other
        numbers tells one block of many. `=3072` at its end is the width of the module's inputs.
        With a dot in it, it tells names that are written with dots.
        """
        if "." in mark:
            return mark.strip(".") if mark in self._dotted else None
        mark, needle, kind, width = _read_mark(mark)
        if kind not in self._kinds:
            return None
        if kind != needle:
            return mark.strip("^$_") if needle in f"\n{self._all}\n".lower() else None
        for name, seen in self._seen.items():
            if needle in f"\n{name}\n" and (not width or int(width) in seen.widths):
                return f"{seen.example}, {width} wide" if width else seen.example
        return None

    @cached_property
    def _kinds(self) -> str:
        return "\n".join(("", *self._seen, ""))


def flat_name(name: str) -> str:
    """A module's name without what programs write before it, with `_` for dots."""
    bare = outermost(_WRAPPERS.sub("", name))
    return bare.replace(".processor.to_", ".to_").translate(_FLAT)


@cache
def _read_mark(mark: str) -> tuple[str, str, str, str]:
    """A mark of the table as `first_with` needs it: without its width, as text, as kind; width."""
    mark, _, width = mark.partition("=")
    needle = mark.replace("^", "\n").replace("$", "\n")
    return mark, needle, _without_numbers(needle), width


def _without_numbers(text: str) -> str:
    text = text.translate(_NUMBERS).lower()
    # By halves, so that a name of a million digits takes no million steps.
    while "##" in text:
        text = text.replace("##", "#")
    return text
