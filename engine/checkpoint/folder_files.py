"""Files within a diffusers folder: JSON configurations, and weights in variants and shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.checkpoint.model_files import open_weights
from engine.checkpoint.source import WeightFile
from engine.errors import CheckpointError


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """Read a table from a JSON file of the folder (`unet/config.json`).

    Raises `CheckpointError` when it is missing or no table.
    """
    try:
        config = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder}: the folder has no {name}, so it is no diffusers model; give a .safetensors "
            "file or a diffusers folder."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{folder / name}: cannot be read as JSON ({error}).") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder / name}: is not a table of settings.")
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
    raise CheckpointError(f"{folder}: the weights ({stem}.safetensors) are missing.")


def _shards(index: Path) -> list[str]:
    table = read_config(index.parent, index.name).get("weight_map")
    names = list(table.values()) if isinstance(table, dict) else []
    if not names or not all(isinstance(n, str) and Path(n).name == n for n in names):
        raise CheckpointError(f"{index}: it does not name the files of the weights.")
    return sorted(set(names))
