"""Paths that lead to a part of a model in a folder: the sentence names what to give instead."""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import CheckpointError

INDEX = "model_index.json"
_PIECE = re.compile(r"-\d+-of-0*([1-9]\d*)$")
"""How one of several files ends that hold the weights together."""


def refuse_part_of_folder(path: Path) -> None:
    """Raise `CheckpointError` for a file that lists others, or is one piece of several."""
    if path.name == INDEX:
        raise CheckpointError(
            f"{path}: this lists the parts of a diffusers model; give its folder, {path.parent}."
        )
    if path.name.endswith(".safetensors.index.json"):
        raise CheckpointError(f"{path}: this lists the pieces of a file. {_give_folder(path)}")
    piece = _PIECE.search(path.stem)
    if piece and int(piece[1]) > 1:
        raise CheckpointError(
            f"{path.name}: this is one of {int(piece[1]):,} pieces of a file. {_give_folder(path)}"
        )


def refuse_part_of_model(folder: Path) -> None:
    """Raise `CheckpointError` for a folder that lies in a model's, or around it."""
    if (folder.parent / INDEX).exists():
        raise CheckpointError(
            f"{folder}: this is one part of a diffusers model; give the folder of the whole, "
            f"{folder.parent}."
        )
    # The cache of Hugging Face's hub: models--NAME/snapshots/VERSION.
    for versions in (folder / "snapshots", folder):
        for index in sorted(versions.glob(f"*/{INDEX}")):
            raise CheckpointError(
                f"{folder}: the folder holds a diffusers model in one of its own; give "
                f"{index.parent}."
            )


def _give_folder(path: Path) -> str:
    """What to open instead of a piece."""
    for folder in (path.parent, path.parent.parent):
        if (folder / INDEX).exists():
            return f"Give the folder of the whole model, {folder}."
    return "Only the pieces of a diffusers folder are put together; give such a folder."
