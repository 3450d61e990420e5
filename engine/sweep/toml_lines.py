"""Where a key stands in a TOML text, so that what is wrong with it can be found."""

from __future__ import annotations

import re

_TABLE = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w.-]|"[^"]*"|'[^']*'|\s(?=[\w.'"-]|\.))+?)\s*=""")
_MULTILINE = ('"""', "'''")


def line_of(text: str, *path: str) -> int | None:
    """The line, from 1, on which the value of a key begins; None where it is not found.

    `path` are the names of the tables around the key and the key's own. What stands in an inline
    table is looked for at the line of that table.
    """
    table: tuple[str, ...] = ()
    closing = ""
    best = None
    for number, line in enumerate(text.split("\n"), 1):
        if closing:
            closing = "" if closing in line else closing
            continue
        if (found := _TABLE.match(line)) is not None:
            table = _names(found[1])
            continue
        if (found := _KEY.match(line)) is None:
            continue
        whole = (*table, *_names(found[1]))
        if whole == path:
            return number
        if whole and whole == path[: len(whole)]:
            best = number
        for quotes in _MULTILINE:
            if line[found.end() :].count(quotes) == 1:
                closing = quotes
    return best


def _names(dotted: str) -> tuple[str, ...]:
    parts = re.findall(r""""[^"]*"|'[^']*'|[^.\s]+""", dotted)
    return tuple(part.strip("\"'") for part in parts)
