"""A1111's styles: named prompts that are put around or after one's own; `styles.csv`."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.errors import EngineError
from engine.words.prompt_language.notes import quoted

_PLACE = "{prompt}"
_NAME, _PROMPT, _NEGATIVE = "name", "prompt", "negative_prompt"
_OLD_PROMPT = "text"
"""What A1111 called the column at first."""


@dataclass(frozen=True)
class Style:
    """What a style adds to both prompts; `{prompt}` is the place of one's own."""

    prompt: str = ""
    negative_prompt: str = ""

    def applied(self, prompt: str, negative_prompt: str) -> tuple[str, str]:
        """Both prompts in this style."""
        return _merged(self.prompt, prompt), _merged(self.negative_prompt, negative_prompt)


def parse_styles(text: str) -> tuple[dict[str, Style], tuple[str, ...]]:
    """The styles of a csv by name, and notes on rows that are not as they should be.

    Rows without a name, and those whose name begins with `#`, are passed over; of two rows of one
    name the later counts, as in A1111. Raises `EngineError` for a text that is no csv with the
    columns `name` and `prompt`.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    styles: dict[str, Style] = {}
    notes: list[str] = []
    try:
        columns = [(column or "").strip() for column in reader.fieldnames or ()]
        prompt = _PROMPT if _PROMPT in columns else _OLD_PROMPT
        if _NAME not in columns or prompt not in columns:
            raise EngineError("the first line must be name,prompt,negative_prompt")
        reader.fieldnames = columns
        for row in reader:
            name = (row[_NAME] or "").strip()
            if not name or name.startswith("#"):
                continue
            if None in row:
                notes.append(
                    f"line {reader.line_num}: the style {quoted(name)} has more fields than "
                    "columns; a comma within one needs quotes"
                )
            if name in styles:
                notes.append(
                    f"line {reader.line_num}: the style {quoted(name)} is there twice; this one "
                    "counts"
                )
            styles[name] = Style(row[prompt] or "", row.get(_NEGATIVE) or "")
    except csv.Error as error:
        raise EngineError(f"line {reader.line_num} is no csv ({error})") from error
    return styles, tuple(notes)


def in_styles(
    prompt: str, negative_prompt: str, names: Iterable[str], styles: Mapping[str, Style]
) -> tuple[str, str]:
    """Both prompts in styles, one after the other; raises `EngineError` for an unknown name."""
    for name in names:
        style = styles.get(name)
        if style is None:
            close = difflib.get_close_matches(name, styles, n=3)
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            raise EngineError(f"There is no style {quoted(name)}.{hint}")
        prompt, negative_prompt = style.applied(prompt, negative_prompt)
    return prompt, negative_prompt


def _merged(style: str, prompt: str) -> str:
    if _PLACE in style:
        return style.replace(_PLACE, prompt)
    return ", ".join(part for part in (prompt.strip(), style.strip()) if part)
