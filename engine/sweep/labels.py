"""Texts on a sheet, wrapped to the room they have."""

from __future__ import annotations

import re
from functools import lru_cache

from PIL import ImageDraw, ImageFont

from engine.words.clean import clean_line

_PART = re.compile(r"[^\s_/.,:+-]*[\s_/.,:+-]?")
"""Where a name may be parted beside blanks: behind its marks."""


@lru_cache(maxsize=16)
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font, which is the same on every machine."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow is built with FreeType"
    return font


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """The lines of a text that fit into `width` pixels; a part that is too long is cut."""
    lines = [""]
    for part in _PART.findall(clean_line(text)):
        if font.getlength((lines[-1] + part).rstrip()) > width and lines[-1]:
            lines.append("")
        while part and font.getlength(part.rstrip()) > width:
            cut = next(n for n in range(len(part), 0, -1)
                       if n == 1 or font.getlength(part[:n]) <= width)  # fmt: skip
            lines[-1] = part[:cut]
            lines.append("")
            part = part[cut:]
        lines[-1] += part
    return [line.strip() for line in lines if line.strip()]


class Label:
    """A text in its lines; what is beyond `most_lines` is left out, which a mark says."""

    def __init__(
        self, text: str, font: ImageFont.FreeTypeFont, width: int, most_lines: int = 3
    ) -> None:
        lines = wrapped(text, font, width)
        if len(lines) > most_lines:
            lines = [*lines[: most_lines - 1], _shortened(lines[most_lines - 1], font, width)]
        self.text = "\n".join(lines)
        self._font = font
        ascent, descent = font.getmetrics()
        self._spacing = max(2, int(font.size) // 5)
        self.height = len(lines) * (ascent + descent) + max(0, len(lines) - 1) * self._spacing
        self.width = round(max((font.getlength(line) for line in lines), default=0))

    def draw(self, draw: ImageDraw.ImageDraw, x: int, y: int, colour: str) -> None:
        """Write it with its upper left corner there."""
        ascent, descent = self._font.getmetrics()
        for line in self.text.split("\n"):
            draw.text((x, y), line, colour, self._font)
            y += ascent + descent + self._spacing


def _shortened(line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    while line and font.getlength(f"{line}…") > width:
        line = line[:-1]
    return f"{line}…"
