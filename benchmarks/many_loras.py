"""A library folder of many LoRA files, tiny but sound; a third of them have files beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save

FOLDERS = 300

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
