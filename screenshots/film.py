"""Pictures that follow one another, as a GIF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image


def save_film(
    pictures: Sequence[Image.Image], seconds: Sequence[float], path: Path, colours: int
) -> None:
    """Write pictures, each for its seconds, as one GIF of so many colours that goes on for ever."""
    # One palette, so that what stays the same is not written again.
    sheet = Image.new("RGB", (pictures[0].width, pictures[0].height * len(pictures)))
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (0, number * picture.height))
    palette = sheet.quantize(colours, Image.Quantize.MEDIANCUT)
    first, *others = (
        picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures
    )
    lasting = [round(1000 * each) for each in seconds]
    first.save(path, save_all=True, append_images=others, duration=lasting, loop=0, optimize=False)
    print(f"{path}: {len(pictures)} frames, {path.stat().st_size:,} bytes")
