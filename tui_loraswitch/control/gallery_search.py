"""What is typed to search the gallery: words, and `lora:`, `seed:`, `date:`, `fav:`."""

from __future__ import annotations

import re
import time

from engine.store.pictures import PictureSearch

_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{1,2}))?(?:-([0-9]{1,2}))?")
_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')
_NEVER = 1.0
"""The end of a span of time in which nothing was drawn."""


def read_search(text: str) -> PictureSearch:
    """What is wanted; words in quotes belong together. A date that is none finds nothing."""
    words, loras = list[str](), list[str]()
    seed, since, until, favourites = "", 0.0, 0.0, False
    for raw in _WORD.findall(text):
        word = raw.replace('"', "")
        name, colon, value = word.partition(":")
        match name.lower() if colon else "":
            case "lora" if value:
                loras.append(value)
            case "seed" if value:
                seed = value
            case "date" if value:
                since, until = _span(value)
            case "fav":
                favourites = True
            case "lora" | "seed" | "date":
                pass  # still being typed
            case _:
                words.append(word)
    return PictureSearch(tuple(words), tuple(loras), seed, since, until, favourites)


def _span(text: str) -> tuple[float, float]:
    """From the beginning of a year, month or day to its end; `today` and `yesterday` too."""
    now = time.localtime()
    days = {"today": 0, "yesterday": 1}
    if text.lower() in days:
        back = days[text.lower()]
        return _at(now.tm_year, now.tm_mon, now.tm_mday - back), _at(
            now.tm_year, now.tm_mon, now.tm_mday - back + 1
        )
    found = _DATE.fullmatch(text)
    if found is None:
        return 0.0, _NEVER
    year, month, day = (int(part) if part else 0 for part in found.groups())
    if month > 12 or day > 31:
        return 0.0, _NEVER
    if not month:
        return _at(year, 1, 1), _at(year + 1, 1, 1)
    if not day:
        return _at(year, month, 1), _at(year, month + 1, 1)
    return _at(year, month, day), _at(year, month, day + 1)


def _at(year: int, month: int, day: int) -> float:
    """The beginning of a day here; months and days beyond the last count on."""
    try:
        return time.mktime((year, month, day, 0, 0, 0, 0, 0, -1))
    except (OverflowError, ValueError):
        return _NEVER
