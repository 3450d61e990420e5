"""The words of a prompt: its comma items, what is in it already, and what is to be escaped."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_TAG = re.compile(r"<(?:lora|lyco|hypernet):[^<>]*>", re.IGNORECASE)
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_PIECE = re.compile(
    r"""\\(?P<escaped>.)
    | (?P<weight>:\s*[+-]?[\d.]+\s*(?=[)\]]))
    | (?P<bracket>[()\[\]{}])
    | (?P<boundary>[,|])
    | (?P<space>\s+)
    | (?P<text>[^\\:()\[\]{},|\s]+|.)""",
    re.VERBOSE | re.DOTALL,
)
_BOUNDARIES = ("BREAK", "AND")
"""Words that part a prompt as commas do; in lower case they are words like others."""
_COLON_WITHIN = re.compile(r"(?<=\w):(?=\w)")
_QUOTES = "\"'“”"
_MARKS = f".;:!?{_QUOTES}"
"""What a word may end with where it is part of a sentence."""
_SEPARATOR, _BOUNDARY = "\x1f", ","


def comma_items(text: str) -> list[str]:
    """What stands between commas, without the empty ones; a comma within brackets parts nothing.

    A bracket that is escaped or has no partner, as in the tag `:(`, is a letter like others.
    """
    places = sorted(_partners(text))
    items, start, depth = [], 0, 0
    for place in (*places, len(text)):
        character = text[place : place + 1]
        if character in ("", _BOUNDARY):
            if depth == 0 or not character:
                items.append(text[start:place].strip())
                start = place + 1
        else:
            depth += -1 if character in _BRACKETS else 1
    return [item for item in items if item]


def _partners(text: str) -> list[int]:
    """The places of commas, and of brackets that have a partner."""
    found: list[int] = []
    opened: list[int] = []
    escaped = False
    for place, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == _BOUNDARY:
            found.append(place)
        elif character in _BRACKETS.values():
            opened.append(place)
        elif character in _BRACKETS and opened and text[opened[-1]] == _BRACKETS[character]:
            found += opened.pop(), place
    return found


def missing(prompt: str, group: str) -> list[str]:
    """The comma items of a group of words that are not in the prompt, as they are written.

    An item is there when its words stand in the prompt one after the other, as whole words of one
    comma item; case, weights and brackets do not matter. What tags name is no word of the prompt.
    """
    there = plain_words(prompt)
    return [item for item in comma_items(group) if plain_words(item) not in there]


def joined(prompt: str, items: Iterable[str]) -> str:
    """A prompt with items at its end."""
    start = prompt.rstrip().removesuffix(_BOUNDARY).rstrip()
    added = ", ".join(items)
    if not start:
        return added
    ends_part = start.endswith(_BOUNDARIES) and start.split()[-1] in _BOUNDARIES
    return f"{start}{' ' if ends_part else ', '}{added}"


def without_tags(text: str) -> str:
    """A text without `<lora:…>` tags and the commas that stood beside them; else as written."""
    left = _TAG.sub("", text)
    return left if left == text else ", ".join(comma_items(left))


def escaped(text: str) -> str:
    """A text whose brackets are letters: those not escaped yet are."""
    return re.sub(r"(\\.)|([()\[\]])", lambda m: m[1] or f"\\{m[2]}", text)


def plain_words(text: str) -> str:
    """The words of a text in one line that can be searched, each between separators.

    Texts of the same words give the same line, whatever their case, weights and brackets.
    """
    words: list[str] = []
    letters: list[str] = []

    def end_word() -> None:
        word = "".join(letters)
        letters.clear()
        if word in _BOUNDARIES:
            words.append(_BOUNDARY)
        elif word:
            words.extend(map(_plain, _COLON_WITHIN.split(word)))

    for piece in _PIECE.finditer(_TAG.sub(" ", text)):
        if piece["space"]:
            end_word()
        elif piece["boundary"]:
            end_word()
            words.append(_BOUNDARY)
        elif not piece["weight"] and not piece["bracket"]:
            letters.append(piece["escaped"] or piece["text"])
    end_word()
    return _SEPARATOR + "".join(word + _SEPARATOR for word in words)


def _plain(word: str) -> str:
    """A word without brackets and the marks of a sentence, unless it consists of them."""
    plain = re.sub(r"[()\[\]]", "", word).lstrip(_QUOTES).rstrip(_MARKS)
    if not any(map(str.isalnum, plain)):
        plain = word
    return unicodedata.normalize("NFC", plain).casefold()
