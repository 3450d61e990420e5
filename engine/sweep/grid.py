"""The sheets of a sweep: pictures in a table with labels, painted as they are drawn."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw

from engine.errors import FileFormatError
from engine.files.picture_file import picture_of
from engine.files.saving import replace_file
from engine.sweep.labels import Label, font_of, wrapped
from engine.sweep.layout import Block, Page

PAPER, INK, FAINT, EMPTY, FAULT = "#16181d", "#e8e8ea", "#9a9ca5", "#24272e", "#f2a39b"
GAP = 6
LARGEST_THUMBNAIL, SMALLEST_THUMBNAIL = 512, 96
MOST_PIXELS = 36_000_000
"""Of one sheet: as much as programs show without thinking."""
_SHARE = 0.1
"""Of the time that goes by, how much may go into writing sheets anew."""


@dataclass
class _Sheet:
    path: Path
    image: Image.Image
    places: dict[int, tuple[int, int]]
    """Where the picture of a cell stands."""
    is_new: bool = True
    next_time: float = 0.0


@dataclass
class Grid:
    """The sheets of all cells. `sizes` are the cells' own, in pixels (0: `default` for it)."""

    folder: Path
    pages: Sequence[Page]
    title: str
    size: tuple[int, int]
    """Of the largest cell."""
    name: str = "grid"
    clock: Callable[[], float] = time.monotonic
    _sheets: list[_Sheet] = field(default_factory=list)
    _thumbnail: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        """Paint the tables without their pictures."""
        self._thumbnail = _fitting(self.size, self.pages)
        for number, page in enumerate(self.pages, 1):
            name = f"{self.name}.png" if number == 1 else f"{self.name}-{number}.png"
            painter = _Painter(page, self.title, self._thumbnail)
            self._sheets.append(_Sheet(self.folder / name, *painter.paint()))

    @property
    def paths(self) -> list[Path]:
        """The files of the sheets."""
        return [sheet.path for sheet in self._sheets]

    def show(self, number: int, picture: Path) -> None:
        """Put a cell's picture in its place."""

        def small(image: Image.Image) -> Image.Image:
            image = image.convert("RGB")
            image.thumbnail(self._thumbnail, Image.Resampling.LANCZOS)
            return image

        try:
            self._put(number, picture_of(picture, small))
        except FileFormatError as error:
            self.refuse(number, str(error))

    def refuse(self, number: int, reason: str) -> None:
        """Say in a cell's place why there is no picture."""
        width, height = self._thumbnail
        image = Image.new("RGB", (width, height), EMPTY)
        font = font_of(max(11, width // 16))
        lines = wrapped(reason, font, width - 2 * GAP)[
            : max(1, int(height / (font.size * 1.25)) - 1)
        ]
        text = "\n".join(lines)
        ImageDraw.Draw(image).multiline_text((GAP, GAP), text, FAULT, font)
        self._put(number, image)

    def write(self, at_last: bool = False) -> None:
        """Write the sheets that have changed; raises OSError.

        Between two cells only as often as it takes little of the time; `at_last` in any case.
        """
        for sheet in self._sheets:
            if sheet.is_new and (at_last or self.clock() >= sheet.next_time):
                before = self.clock()
                file = io.BytesIO()
                sheet.image.save(file, "PNG", compress_level=6 if at_last else 1)
                replace_file(sheet.path, file.getvalue())
                sheet.is_new = False
                after = self.clock()
                sheet.next_time = after + (after - before) / _SHARE

    def _put(self, number: int, image: Image.Image) -> None:
        width, height = self._thumbnail
        for sheet in self._sheets:
            if (place := sheet.places.get(number)) is not None:
                left = place[0] + (width - image.width) // 2
                top = place[1] + (height - image.height) // 2
                sheet.image.paste(EMPTY, (*place, place[0] + width, place[1] + height))
                sheet.image.paste(image, (left, top))
                sheet.is_new = True


def _fitting(size: tuple[int, int], pages: Sequence[Page]) -> tuple[int, int]:
    """The size of the pictures on the sheets, so that the largest one stays of a sensible size."""
    count = max(sum(len(b.cells) * len(b.cells[0]) for b in page.blocks) for page in pages)
    area = size[0] * size[1]
    scale = min(1.0, LARGEST_THUMBNAIL / max(size), (MOST_PIXELS / (count * area)) ** 0.5)
    scale = max(scale, min(1.0, SMALLEST_THUMBNAIL / max(size)))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


class _Painter:
    """Paints one sheet: title, headings, labels, and boxes for the pictures."""

    def __init__(self, page: Page, title: str, thumbnail: tuple[int, int]) -> None:
        self._page = page
        self._thumbnail = thumbnail
        width = thumbnail[0]
        size = max(12, min(28, width // 11))
        self._font = font_of(size)
        columns = max(len(block.cells[0]) for block in page.blocks)
        sides = [row for block in page.blocks for row in block.rows if row]
        self._side = max((Label(s, self._font, width).width for s in sides), default=0)
        self._side += 2 * GAP if self._side else 0
        self._width = max(self._side + GAP + columns * (width + GAP), 360)
        self._title = Label(title, self._font, self._width - 2 * GAP, most_lines=4)
        self._labels = {
            text: Label(text, self._font, width, most_lines=4)
            for block in page.blocks
            for text in (*block.columns, *block.rows, *_captions(block))
        }

    def paint(self) -> tuple[Image.Image, dict[int, tuple[int, int]]]:
        """The sheet, and where the picture of each cell belongs."""
        heights = [self._block_height(block) for block in self._page.blocks]
        head = self._title.height + 2 * GAP if self._title.text else GAP
        heading = Label(self._page.heading, self._font, self._width - 2 * GAP)
        head += heading.height + GAP if self._page.heading else 0
        image = Image.new("RGB", (self._width, head + sum(heights)), PAPER)
        draw = ImageDraw.Draw(image)
        y = GAP
        if self._title.text:
            self._title.draw(draw, GAP, y, FAINT)
            y += self._title.height + GAP
        if self._page.heading:
            heading.draw(draw, GAP, y, INK)
        places: dict[int, tuple[int, int]] = {}
        y = head
        for block, height in zip(self._page.blocks, heights, strict=True):
            self._paint_block(draw, block, y, places)
            y += height
        return image, places

    def _block_height(self, block: Block) -> int:
        head = self._head(block)
        return head + sum(self._row_height(block, row) for row in block.cells)

    def _head(self, block: Block) -> int:
        heading = self._line + 2 * GAP if block.heading else 0
        columns = max((self._labels[text].height for text in block.columns), default=0)
        return heading + (columns + GAP if columns else 0)

    def _row_height(self, block: Block, row: Sequence[int | None]) -> int:
        captions = [self._labels[block.captions[n]].height for n in row
                    if n is not None and block.captions]  # fmt: skip
        return self._thumbnail[1] + GAP + (max(captions) + GAP if captions else 0)

    @property
    def _line(self) -> int:
        return Label("X", self._font, 1000).height

    def _paint_block(
        self, draw: ImageDraw.ImageDraw, block: Block, y: int, places: dict[int, tuple[int, int]]
    ) -> None:
        width, height = self._thumbnail
        head = self._head(block)
        if block.heading:
            Label(block.heading, self._font, self._width).draw(draw, GAP, y + GAP, INK)
        left = self._side + GAP
        for number, text in enumerate(block.columns):
            label = self._labels[text]
            label.draw(draw, left + number * (width + GAP), y + head - label.height - GAP, INK)
        y += head
        for text, row in zip(block.rows, block.cells, strict=True):
            if text:
                side = self._labels[text]
                side.draw(draw, GAP, y + (height - side.height) // 2, INK)
            for number, cell in enumerate(row):
                if cell is None:
                    continue
                x = left + number * (width + GAP)
                draw.rectangle((x, y, x + width - 1, y + height - 1), fill=EMPTY)
                places[cell] = x, y
                if block.captions:
                    self._labels[block.captions[cell]].draw(draw, x, y + height + GAP, INK)
            y += self._row_height(block, row)


def _captions(block: Block) -> list[str]:
    """The captions of the cells that stand in a block."""
    numbers = (n for row in block.cells for n in row if n is not None)
    return [block.captions[n] for n in numbers] if block.captions else []
