"""A library folder of many LoRA files, each tiny but sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save

FOLDERS = 40

_KEY = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"


def write_many_loras(folder: Path, count: int) -> None:
    """Write files of one module at rank 1, in `FOLDERS` folders; trigger words differ."""
    for number in range(FOLDERS):
        (folder / f"folder_{number:02d}").mkdir(parents=True)
    tensors = {
        f"{_KEY}.lora_down.weight": np.zeros((1, 2048), np.float16),
        f"{_KEY}.lora_up.weight": np.zeros((640, 1), np.float16),
        f"{_KEY}.alpha": np.array(1, np.float16),
    }
    for number in range(count):
        metadata = {"modelspec.trigger_phrase": f"word {number}, another {number % 97}"}
        path = folder / f"folder_{number % FOLDERS:02d}" / f"lora_{number:05d}.safetensors"
        path.write_bytes(save(tensors, metadata))
