"""Files within a diffusers folder: JSON configurations, and weights in variants and shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.checkpoint.model_files import open_weights
from engine.checkpoint.source import WeightFile
from engine.errors import CheckpointError
from engine.files.json_text import parse_json
from engine.files.regular_file import read_regular

MAX_CONFIG_BYTES = 4_000_000
"""Ten times an index of SDXL's weights in shards, the largest of them."""


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """Read a table from a JSON file of the folder (`unet/config.json`).

    Raises `CheckpointError` when it is missing or no table, `FileFormatError` when it is no file.
    """
    path = folder / name
    if not path.exists():
        raise CheckpointError(
            f"{folder}: the folder has no {name}, so it is no diffusers model; give a .safetensors "
            "file or a diffusers folder."
        )
    try:
        config = parse_json(read_regular(path, MAX_CONFIG_BYTES))
    except ValueError as error:
        raise CheckpointError(f"{path}: cannot be read as JSON ({error}).") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: is not a table of settings.")
    return config


def part_files(folder: Path, stem: str, *, half: bool) -> tuple[WeightFile, ...]:
    """Open the weight files of a part: one file, or the shards an index names.

    Of the full-precision files and the variant `fp16`, `half` prefers the latter.
    Raises `CheckpointError` when there are none or one of the shards is missing.
    """
    for variant in ("fp16", "") if half else ("", "fp16"):
        dot = f".{variant}" if variant else ""
        index = folder / f"{stem}.safetensors.index{dot}.json"
        if index.is_file():
            return tuple(open_weights(folder / name) for name in _shards(index))
        single = folder / f"{stem}{dot}.safetensors"
        if single.is_file():
            return (open_weights(single),)
    if any(folder.glob("*.bin")):
        raise CheckpointError(
            f"{folder}: the weights are pickle (.bin) files, which can run code when opened; "
            "download the .safetensors files of this model."
        )
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    there = f"; what is there is {', '.join(others[:3])}" if others else ""
    raise CheckpointError(f"{folder}: the weights ({stem}.safetensors) are missing{there}.")


def _shards(index: Path) -> list[str]:
    table = read_config(index.parent, index.name).get("weight_map")
    names = list(table.values()) if isinstance(table, dict) else []
    if not names or not all(isinstance(n, str) and Path(n).name == n for n in names):
        raise CheckpointError(f"{index}: it does not name the files of the weights.")
    return sorted(set(names))
