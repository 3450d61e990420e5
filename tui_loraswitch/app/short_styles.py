"""The styles of text in a terminal, and the shortest sequence that leads from one to another.

Textual names every colour of every run of text and resets all behind it: about 40 bytes for a run,
most of which say again what holds already, such as the background.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

_COLOURS = {"3": "fg", "4": "bg", "9": "fg", "10": "bg"}
_OFF = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "7": "27", "8": "28", "9": "29",
        "21": "24", "53": "55"}  # fmt: skip
"""What ends each attribute."""
_COLOUR_OFF = {"fg": "39", "bg": "49"}
_TELLS_NOTHING = {"6", "10", "51", "52", "54"}
_SEEN_ON_BLANKS = {"bg", "4", "9", "21", "53"}
_REVERSE = "7"

Codes = tuple[tuple[str, str], ...]


class Style:
    """The codes that hold: colours under `fg` and `bg`, attributes under their own.

    Of equal styles there is one, as a rule: they are compared by identity.
    """

    __slots__ = ("blank", "codes")

    def __init__(self, codes: Codes) -> None:
        self.codes = dict(codes)
        seen = tuple(item for item in codes if item[0] in _SEEN_ON_BLANKS)
        self.blank: Style = self if seen == codes or _REVERSE in self.codes else _style(seen)
        """What of it is seen on a blank."""


@lru_cache(maxsize=16384)
def _style(codes: Codes) -> Style:
    return Style(codes)


PLAIN = _style(())


@lru_cache(maxsize=16384)
def after(style: Style | None, codes: str) -> Style | None:
    """The style after some codes; None where that is not known."""
    words = iter(codes.split(";") if codes else ["0"])
    if style is None and codes.split(";")[0] not in ("", "0"):
        return None
    held = dict(style.codes) if style is not None else {}
    for code in words:
        if code in ("0", ""):
            held = {}
        elif code in ("38", "48"):
            colour = _colour(code, words)
            if colour is None:
                return None
            held["fg" if code == "38" else "bg"] = colour
        elif code in ("39", "49"):
            held.pop("fg" if code == "39" else "bg", None)
        elif code in _OFF:
            held[code] = code
        elif len(code) > 1 and code[:-1] in _COLOURS and code[-1] in "01234567":
            held[_COLOURS[code[:-1]]] = code
        elif code in _OFF.values():
            held = {key: one for key, one in held.items() if _OFF.get(key) != code}
        elif code not in _TELLS_NOTHING:
            return None
    return _style(tuple(sorted(held.items())))


@lru_cache(maxsize=16384)
def change(shown: Style | None, wanted: Style) -> str:
    """What makes the one the other; `shown` is None where it is not known."""
    if wanted is shown:
        return ""
    anew = ";".join(("0", *wanted.codes.values()))
    if shown is not None:
        ended = [
            _COLOUR_OFF.get(key) or _OFF[key] for key in shown.codes if key not in wanted.codes
        ]
        # Bold and faint have one end: what it ends besides is begun again.
        again = [key for key in ("1", "2") if "22" in ended and key in wanted.codes]
        begun = [code for key, code in wanted.codes.items() if shown.codes.get(key) != code]
        anew = min(";".join([*dict.fromkeys(ended), *again, *begun]), anew, key=len)
    return f"\x1b[{anew}m"


@lru_cache(maxsize=4096)
def for_blanks(shown: Style | None, wanted: Style) -> Style:
    """A style that looks like the wanted one on blanks, and is nearest to the one that is shown."""
    if shown is None or _REVERSE in wanted.codes or _REVERSE in shown.codes:
        return wanted
    unseen = [item for item in shown.codes.items() if item[0] not in _SEEN_ON_BLANKS]
    return _style(tuple(sorted((*unseen, *wanted.blank.codes.items()))))


def _colour(code: str, words: Iterator[str]) -> str | None:
    """A colour of 256 or of 16 million; None for what is neither."""
    kind = next(words, "")
    count = {"5": 1, "2": 3}.get(kind, 0)
    numbers = [next(words, "") for _ in range(count)]
    return ";".join((code, kind, *numbers)) if numbers and all(numbers) else None
