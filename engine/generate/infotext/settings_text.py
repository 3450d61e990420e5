"""Read settings written as `Steps: 20, Sampler: Euler a, Lora hashes: "a: 1, b: 2"`."""

from __future__ import annotations

import json
import re

from engine.generate.infotext.json_values import read_json

KEY = re.compile(r"(?<!\w)(\w[\w \-/]{1,60}):")
_BLANKS = re.compile(r"\s*+")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\](){}]', re.DOTALL)
_CLOSING_TAIL = re.compile(r"[\s\])}>]*+")
_CLOSES = {"]": "[", ")": "(", "}": "{"}
_MOST_BROKEN = 10
"""Brackets without an end that are looked for to the end of the text; more are plain text."""


def read_settings(line: str) -> list[tuple[str, str]]:
    """Names and values in order. Nothing inside quotes or brackets becomes a setting.

    A quoted value is read as JSON's strings are; a value in brackets (JSON, or a tuple) is whole
    and as written; any other ends at a comma.
    """
    return _Reader(line).read()


def quote(value: str) -> str:
    """A value as it is written among settings, quoted where it could be taken for more than one."""
    is_ambiguous = (
        any(c in value for c in ',:"\r\n') or value != value.strip() or value[:1] in ("{", "[", "(")
    )
    return json.dumps(value, ensure_ascii=False) if is_ambiguous else value


class _Reader:
    """Goes through a line once."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._broken = 0

    def read(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        place, end = 0, len(self._line)
        while place < end:
            comma = self._comma(place)
            key = KEY.search(self._line, place, comma)
            if key is None:
                place = comma + 1
                continue
            value, place = self._value(key.end())
            found.append((key[1].strip(), value))
        return found

    def _value(self, start: int) -> tuple[str, int]:
        """The value that starts here, and where what follows its comma starts."""
        line = self._line
        blanks = _BLANKS.match(line, start)
        start = blanks.end() if blanks else start
        stop = self._end_of_whole(start)
        comma = self._comma(stop)
        text, tail = line[start:stop], line[stop:comma]
        if line.startswith('"', start) and not tail.strip():
            read = read_json(text)
            return (read if isinstance(read, str) else text), comma + 1
        if line[start : start + 1] in ("{", "[", "(") and _CLOSING_TAIL.fullmatch(tail):
            return text, comma + 1
        return line[start:comma].strip(), comma + 1

    def _end_of_whole(self, start: int) -> int:
        """The end of the quotes or brackets that open here; `start` where none do."""
        if self._line.startswith('"', start):
            quoted = _QUOTED.match(self._line, start)
            return quoted.end() if quoted else start
        if self._line[start : start + 1] in ("{", "[", "(") and self._broken < _MOST_BROKEN:
            opened: list[str] = []
            for mark in _BRACKET.finditer(self._line, start):
                if mark[0] in "[({":
                    opened.append(mark[0])
                elif mark[0] in _CLOSES:
                    if opened.pop() != _CLOSES[mark[0]]:
                        break
                    if not opened:
                        return mark.end()
            self._broken += 1
        return start

    def _comma(self, place: int) -> int:
        found = self._line.find(",", place)
        return len(self._line) if found < 0 else found
