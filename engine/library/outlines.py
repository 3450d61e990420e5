"""Headers of a library's files, whose tables of tensors are mostly the same few."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from engine.files.header import RawHeader, parse_header, texts_of
from engine.lora.identify import Outline, outline_of

_KEPT = 32
"""Tables that are remembered; one of a LoRA of all modules has a quarter of a megabyte."""
_MAX_QUICK = 1_000_000
"""Bytes of a header up to which no count of its values is needed."""
_START = '{"__metadata__":'

_decoder = json.JSONDecoder()


class ReadHeader(NamedTuple):
    """What a header tells."""

    outline: Outline
    """Perhaps of another file with the same table."""
    metadata: Mapping[str, str]
    left_out: str = ""
    """See `Header.left_out`."""
    moved: int = 0
    """How many bytes later in this file all tensors lie than the outline says."""


class Outlines:
    """Reads headers; a table that was parsed and checked before is known by its text.

    Files of one trainer, at one rank, differ in nothing but metadata and numbers: to parse and to
    check a table of two thousand tensors takes a hundred times as long as to compare it.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Outline, int, int]] = OrderedDict()
        """By the table's text: the outline of a file, where its tensors begin, and their length."""

    def read(self, raw: RawHeader) -> ReadHeader:
        """Read a header. Raises `FileFormatError` as `parse_header` does."""
        split = _split(raw)
        if split is not None:
            metadata, left_out, table = split
            known = self._known.get(table)
            if known is not None and raw.data_start + known[2] == raw.file_size:
                self._known.move_to_end(table)
                return ReadHeader(known[0], metadata, left_out, raw.data_start - known[1])
        header = parse_header(raw)
        outline = outline_of(header.tensors)
        if split is not None:
            self._known[table] = outline, raw.data_start, raw.file_size - raw.data_start
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return ReadHeader(outline, header.metadata, header.left_out)


def _split(raw: RawHeader) -> tuple[dict[str, str], str, str] | None:
    """The metadata, what of it is left out, and the text of the table behind it.

    None where they do not stand so.
    """
    if len(raw.text) > _MAX_QUICK:
        return None
    try:
        text = raw.text.decode()
        if not text.startswith(_START):
            return ({}, "", text) if _START[1:-1] not in text else None
        metadata, end = _decoder.raw_decode(text, len(_START))
    except (ValueError, RecursionError):
        return None  # parsing it as a whole says what is wrong
    table = text[end:]
    if not isinstance(metadata, dict) or _START[1:-1] in table:
        return None
    return *texts_of(metadata), table
