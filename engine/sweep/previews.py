"""Previews beside LoRAs, made of pictures that were drawn with them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PIL import Image

from engine.errors import EngineError
from engine.files.file_version import FileVersion
from engine.files.picture_file import picture_of
from engine.files.regular_file import printable
from engine.files.saving import in_words, write_new
from engine.library.beside import find_previews
from engine.sweep.drawn import DrawnCells

LARGEST_SIDE = 512
ENDING = ".preview.png"


def write_previews(
    drawn: DrawnCells, loras: Sequence[Path], on_problem: Callable[[str], object]
) -> dict[Path, FileVersion]:
    """Make the pictures of a tour's cells the previews of their LoRAs, where none are.

    Gives those that are written; `on_problem` is told of what cannot be.
    """
    written = {}
    for number, (cell, lora) in enumerate(zip(drawn.cells, loras, strict=True)):
        if drawn.is_drawn(number):
            try:
                if write_preview(lora, drawn.folder.path_of(cell)):
                    path = lora.with_name(lora.stem + ENDING)
                    written[path] = FileVersion.of(path)
            except FileNotFoundError:
                continue  # somebody has taken it away already
            except EngineError as error:
                on_problem(str(error))
    return written


def remove_previews(previews: Mapping[Path, FileVersion]) -> None:
    """Take previews away again that nobody has changed or replaced since they were written.

    Raises `EngineError` where one cannot be taken away.
    """
    for path, version in previews.items():
        try:
            # One that was in the trash meanwhile is still the same.
            if FileVersion.of(path).has_content_of(version):
                path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise EngineError(f"{printable(path)}: it stays: {in_words(error)}.") from error


def write_preview(lora: Path, picture: Path) -> bool:
    """Write `NAME.preview.png` beside a LoRA file, unless it has a preview; True when it was.

    Raises `EngineError` where the picture cannot be read, or nothing can be written there.
    """
    if find_previews(lora):
        return False

    def small(image: Image.Image) -> bytes:
        image = image.convert("RGB")
        image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        image.save(file, "PNG")
        return file.getvalue()

    def name(taken: int) -> str:
        if taken:
            raise FileExistsError(lora.stem + ENDING)
        return lora.stem + ENDING

    try:
        write_new(lora.parent, name, picture_of(picture, small))
    except FileExistsError:
        return False  # Somebody else was quicker.
    except OSError as error:
        raise EngineError(
            f"{printable(lora)}: no preview is written beside it: {in_words(error)}."
        ) from error
    return True
