"""A library folder of many LoRA files, tiny but sound; a third of them have files beside them."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from engine.lora.base_model.unets import sdxl_modules

FOLDERS = 300
RANKS = (4, 8, 16, 32, 64, 128)

_KEY = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"


def write_many_loras(folder: Path, count: int, folders: int = FOLDERS) -> None:
    """Write files of one module at rank 1; a third has a sidecar and a preview."""
    for number in range(folders):
        (folder / f"folder_{number:03d}").mkdir(parents=True)
    tensors = {
        f"{_KEY}.lora_down.weight": np.zeros((1, 2048), np.float16),
        f"{_KEY}.lora_up.weight": np.zeros((640, 1), np.float16),
        f"{_KEY}.alpha": np.array(1, np.float16),
    }
    for number in range(count):
        metadata = {"modelspec.trigger_phrase": f"word {number}, another {number % 97}"}
        path = folder / f"folder_{number % folders:03d}" / f"lora_{number:06d}.safetensors"
        path.write_bytes(save(tensors, metadata))
        _write_beside(path, number)


def write_full_headers(folder: Path, count: int, folders: int = FOLDERS) -> None:
    """Write files with the headers of LoRAs of all modules; their data are holes.

    Of 18 kinds, by rank and type; a third has a sidecar and a preview.
    """
    for number in range(folders):
        (folder / f"folder_{number:03d}").mkdir(parents=True)
    tables = [_table(rank, dtype) for rank in RANKS for dtype in ("F16", "BF16", "F32")]
    tags = json.dumps({"10_set": {f"tag {number}": 100 - number for number in range(100)}})
    for number in range(count):
        table, length = tables[number % len(tables)]
        said = {"ss_output_name": f"lora {number}", "ss_tag_frequency": tags}
        header = f'{{"__metadata__":{json.dumps(said)},{table}'.encode()
        path = folder / f"folder_{number % folders:03d}" / f"lora_{number:06d}.safetensors"
        with path.open("wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            file.truncate(8 + len(header) + length)
        _write_beside(path, number)


def _table(rank: int, dtype: str) -> tuple[str, int]:
    """What follows the metadata in a header, and the length of all tensors."""
    names = [
        f"lora_unet_{path.replace('.', '_')}"
        for path in sdxl_modules()
        if "attn" in path or ".ff." in path or "proj_" in path
    ]
    size, end = (4 if dtype == "F32" else 2), 0
    table: dict[str, object] = {}
    for name in names:
        for key, shape in (
            ("lora_down.weight", [rank, 640]),
            ("lora_up.weight", [640, rank]),
            ("alpha", []),
        ):
            start, end = end, end + size * math.prod(shape)
            table[f"{name}.{key}"] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    return json.dumps(table, separators=(",", ":"))[1:], end


def _write_beside(path: Path, number: int) -> None:
    if number % 3 == 0:
        path.with_suffix(".civitai.info").write_text(json.dumps(_civitai(number)))
        path.with_suffix(".preview.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))


def _civitai(number: int) -> dict[str, object]:
    return {
        "id": number,
        "baseModel": "SDXL 1.0",
        "trainedWords": [f"trigger {number}, group {number % 50}"],
        "model": {
            "name": f"Model {number}",
            "description": "<p>Made for <b>many</b> things.</p>",
            "tags": ["style", f"tag {number % 200}"],
        },
        "images": [{"url": "https://example.com/1.png", "meta": {"prompt": "a fox, " * 40}}],
    }
