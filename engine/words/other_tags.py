"""Tags in angle brackets that switch nothing here: other programs', and a LoRA's without its end.

A1111 takes out whatever looks like `<word:…>`, and tells nobody where it knows no such word.
"""

from __future__ import annotations

import re

from engine.words.prompt_language.notes import quoted

OTHER_TAG = re.compile(r"<(?!(?:lora|lyco):)\w++:[^<>]*+>", re.IGNORECASE)
_TAG = re.compile(r"<(?:lora|lyco):[^<>]*+>", re.IGNORECASE)
_MEANT_AS_ONE = re.compile(r"<\s*+(?:lora|lyco)\b[^<>\n]*+>?", re.IGNORECASE)
_MOST_NOTES = 20
ONLY_KNOWN = "only <lora:name:0.8> is known here"


def without_other_tags(text: str) -> str:
    """A text without the tags of other programs, such as `<hypernet:name:1>`."""
    return OTHER_TAG.sub("", text)


def notes_on_tags(text: str) -> tuple[str, ...]:
    """What is said of tags that are left out, and of what was meant as one and is text."""
    notes = [f"{quoted(found[0])} is left out: {ONLY_KNOWN}." for found in OTHER_TAG.finditer(text)]
    notes += [
        f"{quoted(found[0])} is taken as text: a LoRA is written <lora:name:0.8>."
        for found in _MEANT_AS_ONE.finditer(text)
        if not _TAG.fullmatch(found[0])
    ]
    return tuple(dict.fromkeys(notes))[:_MOST_NOTES]
