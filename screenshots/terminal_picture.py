"""What a terminal shows as a picture, cell by cell; pictures by Kitty's protocol in full."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator, Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont
from rich.cells import cell_len
from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from tui_loraswitch.images import kitty
from tui_loraswitch.images.full_picture import Packed

Rgb = tuple[int, int, int]
Line = Sequence[Segment]

CELL = 8, 17
"""Pixels of a cell, where nothing else is asked for."""
FRONT, BACK = (215, 218, 229), (14, 16, 22)
"""Where it is left to the terminal."""
_CONSOLE = Console(color_system="truecolor", force_terminal=True, width=500)
_DATA = re.compile(r"\x1b_G[^;]*;([^\x1b]*)\x1b\\")
_FONTS = {False: "DejaVuSansMono.ttf", True: "DejaVuSansMono-Bold.ttf"}
_FONT_SHARE = 1 / 0.602
"""Of the font's size and the width of its characters."""
_BASELINE = 0.78
"""Of a cell's height."""
_UP, _RIGHT, _DOWN, _LEFT = 1, 2, 4, 8
_LINES = {"─": 10, "│": 5, "├": 7, "┤": 13, "┬": 14, "┴": 11, "┼": 15,
          "╭": 6, "╮": 12, "╰": 3, "╯": 9, "┌": 6, "┐": 12, "└": 3, "┘": 9}  # fmt: skip
"""From the middle of the cell to which of its sides."""
_SHADES = {"░": 0.25, "▒": 0.5, "▓": 0.75}


def from_ansi(lines: Sequence[str]) -> list[Line]:
    """Lines as `tmux capture-pane -e` gives them."""
    return [list(Text.from_ansi(line).render(_CONSOLE, end="")) for line in lines]


def picture_of(
    lines: Sequence[Line], cell: tuple[int, int] = CELL, pictures: Sequence[Packed] = ()
) -> Image.Image:
    """The lines of a terminal with cells of so many pixels; `pictures` are those it was sent."""
    width, height = cell
    columns = max(sum(segment.cell_length for segment in line) for line in lines)
    image = Image.new("RGB", (columns * width, len(lines) * height), BACK)
    sent = {
        _mark_and_colour(packed): _picture(packed, cell) for packed in pictures if packed.number
    }
    for row, line in enumerate(lines):
        for column, sign, style in _cells(line):
            at = column * width, row * height
            if sign.startswith(kitty.PLACEHOLDER):
                key = sign[3], style.color.number if style.color else None
                if key in sent:
                    _paste(image, sent[key], sign, at, cell)
            else:
                _draw_cell(image, sign, style, at, cell)
    return image


def _cells(line: Line) -> Iterator[tuple[int, str, Style]]:
    column = 0
    for segment in line:
        for sign in _signs(segment):
            yield column, sign, segment.style or Style()
            column += cell_len(sign)


def _signs(segment: Segment) -> list[str]:
    if segment.text.startswith(kitty.PLACEHOLDER):
        return re.findall(f"{kitty.PLACEHOLDER}...", segment.text)
    return list(segment.text)


def _mark_and_colour(packed: Packed) -> tuple[str, int | None]:
    """What cells know a picture by."""
    number = packed.number
    return (kitty._marks()[number.third], number.colour) if number else ("", None)


def _picture(packed: Packed, cell: tuple[int, int]) -> Image.Image:
    data = base64.b64decode("".join(_DATA.findall(packed.sequence)))
    size = packed.columns * cell[0], packed.rows * cell[1]
    return Image.open(io.BytesIO(data)).convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _paste(
    image: Image.Image, picture: Image.Image, sign: str, at: tuple[int, int], cell: tuple[int, int]
) -> None:
    row, column = (kitty._marks().index(mark) for mark in sign[1:3])
    left, top = column * cell[0], row * cell[1]
    image.paste(picture.crop((left, top, left + cell[0], top + cell[1])), at)


def _draw_cell(
    image: Image.Image, sign: str, style: Style, at: tuple[int, int], cell: tuple[int, int]
) -> None:
    front, back = _rgb(style.color, FRONT), _rgb(style.bgcolor, BACK)
    if style.reverse:
        front, back = back, front
    if style.dim:
        front = _mixed(back, front, 0.5)
    (x, y), (width, height) = at, cell
    draw = ImageDraw.Draw(image)
    draw.rectangle((x, y, x + width * cell_len(sign) - 1, y + height - 1), fill=back)
    if sign in _SHADES:
        shade = _mixed(back, front, _SHADES[sign])
        draw.rectangle((x, y, x + width - 1, y + height - 1), fill=shade)
    elif sign in _LINES:
        _draw_lines(draw, sign, front, at, cell)
    elif (part := _block(sign)) is not None:
        left, top, right, bottom = part
        box = (x + round(left * width), y + round(top * height),
               x + round(right * width) - 1, y + round(bottom * height) - 1)  # fmt: skip
        draw.rectangle(box, fill=front)
    elif not sign.isspace():
        font = _font(width, bool(style.bold))
        draw.text((x, y + height * _BASELINE), sign, fill=front, font=font, anchor="ls")
    if style.underline:
        draw.line((x, y + height - 3, x + width - 1, y + height - 3), fill=front)


def _draw_lines(
    draw: ImageDraw.ImageDraw, sign: str, front: Rgb, at: tuple[int, int], cell: tuple[int, int]
) -> None:
    (x, y), (width, height) = at, cell
    middle, centre = x + width // 2, y + height // 2
    sides = _LINES[sign]
    if sides & _UP:
        draw.line((middle, y, middle, centre), fill=front)
    if sides & _DOWN:
        draw.line((middle, centre, middle, y + height - 1), fill=front)
    if sides & _LEFT:
        draw.line((x, centre, middle, centre), fill=front)
    if sides & _RIGHT:
        draw.line((middle, centre, x + width - 1, centre), fill=front)
    if sign in "╭╮╰╯":
        # A corner cut off is a round one at this size.
        draw.point((middle, centre), fill=_mixed(BACK, front, 0.3))


def _block(sign: str) -> tuple[float, float, float, float] | None:
    """What of its cell a block covers: left, top, right, bottom."""
    if "▁" <= sign <= "█":
        return 0, 1 - (ord(sign) - 0x2580) / 8, 1, 1
    if "▉" <= sign <= "▏":
        return 0, 0, (0x2590 - ord(sign)) / 8, 1
    return {"▀": (0, 0, 1, 0.5), "▐": (0.5, 0, 1, 1), "▔": (0, 0, 1, 0.125),
            "▕": (0.875, 0, 1, 1)}.get(sign)  # fmt: skip


@cache
def _font(width: int, is_bold: bool) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_FONTS[is_bold], width * _FONT_SHARE)


def _rgb(colour: Color | None, usual: Rgb) -> Rgb:
    if colour is None or colour.is_default:
        return usual
    red, green, blue = colour.get_truecolor()
    return red, green, blue


def _mixed(one: Rgb, other: Rgb, share: float) -> Rgb:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
