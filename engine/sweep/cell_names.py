"""Names of cells: made of the values on the axes, and the same in every run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

_UNSAFE = re.compile(r"[^\w.+-]+")
_LONGEST = 40
"""Characters of one value; a name is to fit where 255 bytes do."""
_LONGEST_NAME = 180
_DIGITS = 8


def value_names(labels: Sequence[str]) -> list[str]:
    """A part of a file's name for each label of one axis, no two alike in any case.

    What does not stay as it is, since it is long or has characters that mean something to a
    shell or a file system, is told from others by the beginning of its hash.
    """
    plain = [_plain(label) for label in labels]
    folded = [name.casefold() for name in plain]
    return [
        name if name == label and folded.count(name.casefold()) == 1 else f"{name}~{_hash(label)}"
        for name, label in zip(plain, labels, strict=True)
    ]


def cell_name(axes: Sequence[str], values: Sequence[str]) -> str:
    """The file name, without its ending, of the cell with these values on these axes."""
    parts = [f"{_plain(axis)}-{value}" for axis, value in zip(axes, values, strict=True)]
    name = "_".join(parts)
    if len(name.encode()) > _LONGEST_NAME:
        start = name.encode()[: _LONGEST_NAME - _DIGITS - 1].decode("utf-8", "ignore")
        name = f"{start}~{_hash(name)}"
    return name


def _plain(label: str) -> str:
    name = _UNSAFE.sub("-", label)[:_LONGEST].strip("-.")
    return name or "x"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
