"""TOML that somebody wrote, parsed within bounds."""

from __future__ import annotations

import re
import tomllib
from typing import Any

MAX_DEPTH = 100
"""Tables within tables, in the name of one."""

_NO_NAMES = re.compile(
    r'"""(?:[^\\]|\\.)*?(?:"""|\Z)'
    r"|'''.*?(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\[^\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|\#[^\n]*+",
    re.DOTALL,
)
"""Texts and comments, in which dots part nothing. One without an end goes on to the last."""
_DEEP_NAME = re.compile(rf"(?<![\w-])(?:[\w-]*+[ \t]*+\.[ \t]*+){{{MAX_DEPTH + 1}}}")


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a text. Raises `ValueError`, with a reason in words, where it is no TOML.

    The decoder takes minutes for a name of a hundred thousand parts, and has no bound on its own.
    """
    names = _NO_NAMES.sub(lambda found: "\n" * found[0].count("\n"), text)
    if deep := _DEEP_NAME.search(names):
        line = 1 + names.count("\n", 0, deep.start())
        raise ValueError(f"line {line} is nested too deeply")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        # Its words end in "(at line 3, column 7)".
        raise
    except (RecursionError, ValueError) as error:
        reason = "it is nested too deeply, or has a number of thousands of digits"
        raise ValueError(reason) from error
