"""Fewer bytes for the same screen: of a style only what differs from the one before is sent.

Textual names every colour of every run of text and resets all behind it: about 40 bytes for a run,
most of which say again what holds already, such as the background.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_STYLE = re.compile(r"\x1b\[([0-9;:]*)m")
_MOVES = re.compile(r"(?:\x1b\[(?:\d*;\d*H|\?2026[hl]))*")
"""What shows nothing: the cursor goes elsewhere, a frame begins or ends."""
_COLOURS = {"3": "fg", "4": "bg", "9": "fg", "10": "bg"}
_OFF = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "7": "27", "8": "28", "9": "29",
        "21": "24", "53": "55"}  # fmt: skip
"""What ends each attribute."""
_COLOUR_OFF = {"fg": "39", "bg": "49"}
_TELLS_NOTHING = {"6", "10", "51", "52", "54"}

Style = dict[str, str]
"""The codes that hold: colours under `fg` and `bg`, attributes under their own."""


class ShortStyles:
    """Shortens what is written to one terminal, whose style is followed from one text to the next.

    A style that is not understood is passed on as it is, and nothing is taken for granted then.
    """

    def __init__(self) -> None:
        self._wanted: Style | None = {}
        """What the text has; None: what was passed on as it is."""
        self._shown: Style | None = None
        """What the terminal has; None: not known."""

    def forget(self) -> None:
        """Take nothing for granted: others may have written to the terminal."""
        self._shown = None

    def shortened(self, text: str) -> str:
        """The same on the screen in fewer bytes; a style waits for the text that has it."""
        return "".join(self._pieces(text))

    def _pieces(self, text: str) -> Iterator[str]:
        at = 0
        for found in _STYLE.finditer(text):
            yield from self._text(text[at : found.start()])
            at = found.end()
            wanted = _after(self._wanted, found[1])
            if wanted is None:
                yield self._change()
                yield found[0]
                self._shown = None
            self._wanted = wanted
        yield from self._text(text[at:])

    def _text(self, text: str) -> Iterator[str]:
        if text and not _MOVES.fullmatch(text):
            yield self._change()
        yield text

    def _change(self) -> str:
        """What makes the terminal's style the wanted one."""
        wanted, shown = self._wanted, self._shown
        if wanted is None or wanted == shown:
            return ""
        anew = ";".join(("0", *wanted.values()))
        if shown is not None:
            ended = [_COLOUR_OFF.get(key) or _OFF[key] for key in shown if key not in wanted]
            # Bold and faint have one end: what it ends besides is begun again.
            again = [key for key in ("1", "2") if "22" in ended and key in wanted]
            begun = [code for key, code in wanted.items() if shown.get(key) != code]
            anew = min(";".join([*dict.fromkeys(ended), *again, *begun]), anew, key=len)
        self._shown = dict(wanted)
        return f"\x1b[{anew}m"


def _after(style: Style | None, codes: str) -> Style | None:
    """The style after some codes; None where that is not known."""
    words = iter(codes.split(";") if codes else ["0"])
    if style is None and codes.split(";")[0] not in ("", "0"):
        return None
    after = dict(style or {})
    for code in words:
        if code in ("0", ""):
            after = {}
        elif code in ("38", "48"):
            colour = _colour(code, words)
            if colour is None:
                return None
            after["fg" if code == "38" else "bg"] = colour
        elif code in ("39", "49"):
            after.pop("fg" if code == "39" else "bg", None)
        elif code in _OFF:
            after[code] = code
        elif len(code) > 1 and code[:-1] in _COLOURS and code[-1] in "01234567":
            after[_COLOURS[code[:-1]]] = code
        elif code in _OFF.values():
            after = {key: one for key, one in after.items() if _OFF.get(key) != code}
        elif code not in _TELLS_NOTHING:
            return None
    return after


def _colour(code: str, words: Iterator[str]) -> str | None:
    """A colour of 256 or of 16 million; None for what is neither."""
    kind = next(words, "")
    count = {"5": 1, "2": 3}.get(kind, 0)
    numbers = [next(words, "") for _ in range(count)]
    return ";".join((code, kind, *numbers)) if numbers and all(numbers) else None
