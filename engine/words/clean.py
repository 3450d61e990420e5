"""Text written by strangers, made fit for a terminal: bounded, without control characters."""

from __future__ import annotations

import re

from engine.errors import JOINERS, is_harmless

MAX_LINE = 500
"""Characters of a name, a word, a title."""
MAX_TEXT = 20_000
"""Characters of a description."""

_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    # Strings. One without an end hides nothing of what follows, which may be our own sentence.
    "|(?:\x1b[\\]PX^_]|[\x9d\x90\x98\x9e\x9f])"
    "(?:[^\x07\x1b\x9c\x9d\x90\x98\x9e\x9f]*(?:\x07|\x1b\\\\|\x9c))?"
    "|\x1b[ -/]*[0-~]?"
)
_EMOJI_OR_TEXT = "\ufe0e\ufe0f"
"""They ask for an emoji or a plain sign; terminals disagree on how wide that is."""


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """Remove escape sequences, control characters and direction overrides; keep line ends.

    What is no character, as the bytes of a file name that is not UTF-8, becomes `\ufffd`.
    """
    text = text[:limit]
    if not (text.isascii() and text.isprintable()):
        text = "".join(map(_plain_character, _ESCAPES.sub("", text.replace("\r\n", "\n"))))
    return text.strip()


def clean_line(text: str, limit: int = MAX_LINE) -> str:
    """The same on one line, with single spaces."""
    if not text:
        return ""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text[:limit].strip()  # as nearly all names are; thousands are cleaned in a scan
    return " ".join(clean_text(text, limit).split())


def escaped_line(text: str, limit: int = MAX_TEXT) -> str:
    """The same text on one line, with all that could act on a terminal written out as in Python.

    For logs: nothing is hidden, `\\x1b` stands for an escape and `\\n` for the end of a line.
    """
    text = text[:limit]
    return text if text.isprintable() else "".join(map(_visible_character, text))


def _visible_character(char: str) -> str:
    if is_harmless(char):
        return char
    return char.encode("unicode_escape").decode("ascii")


def _plain_character(char: str) -> str:
    if char in _EMOJI_OR_TEXT:
        return ""
    if char.isprintable() or char == "\n" or char in JOINERS:
        return char
    if char in "\r\v\f\x85\u2028\u2029":
        return "\n"
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"
    return " " if char.isspace() else ""
