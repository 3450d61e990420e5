"""What a terminal shows as a picture: text with the escape sequences of colours, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

CELL = 8, 17
"""Pixels of a cell."""
_FONTS = Path("/usr/share/fonts/truetype/dejavu")
_SIZE = 13
_FRONT, _BACK = (220, 220, 220), (16, 18, 24)
_CONSOLE = Console(color_system="truecolor", force_terminal=True, width=500)
Rgb = tuple[int, int, int]


def picture_of(lines: Sequence[str], columns: int, rows: int) -> Image.Image:
    """The lines of a terminal of this size, as `tmux capture-pane -e` gives them."""
    width, height = CELL
    image = Image.new("RGB", (columns * width, rows * height), _BACK)
    draw = ImageDraw.Draw(image)
    for y, line in enumerate(lines[:rows]):
        x = 0
        for part in Text.from_ansi(line).render(_CONSOLE):
            style = part.style or Style()
            for character in part.text.rstrip("\n"):
                _cell(draw, (x * width, y * height), character, style)
                x += 1
    return image


def _cell(draw: ImageDraw.ImageDraw, at: tuple[int, int], character: str, style: Style) -> None:
    front, back = _rgb(style.color, _FRONT), _rgb(style.bgcolor, _BACK)
    if style.reverse:
        front, back = back, front
    if style.dim:
        front = _between(front, back)
    (left, top), (width, height) = at, CELL
    right, bottom, middle = left + width - 1, top + height - 1, top + (height + 1) // 2
    draw.rectangle((left, top, right, bottom), back)
    match character:
        case " ":
            pass
        case "█":
            draw.rectangle((left, top, right, bottom), front)
        case "▀":
            draw.rectangle((left, top, right, middle - 1), front)
        case "▄":
            draw.rectangle((left, middle, right, bottom), front)
        case _:
            draw.text((left, top), character, front, _font(bool(style.bold)))


def _rgb(color: Color | None, usual: Rgb) -> Rgb:
    if color is None or color.is_default:
        return usual
    red, green, blue = color.get_truecolor()
    return red, green, blue


def _between(one: Rgb, other: Rgb) -> Rgb:
    red, green, blue = ((a + b) // 2 for a, b in zip(one, other, strict=True))
    return red, green, blue


@cache
def _font(is_bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSansMono-Bold.ttf" if is_bold else "DejaVuSansMono.ttf"
    return ImageFont.truetype(str(_FONTS / name), _SIZE)
