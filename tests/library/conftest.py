"""Small LoRA files for the library to find."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from safetensors.numpy import save_file


class WriteLora(Protocol):
    """Writes a LoRA of one module below the library folder."""

    def __call__(self, name: str, *, width: int = 2048, **metadata: str) -> Path: ...


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "loras"
    folder.mkdir()
    return folder


@pytest.fixture
def write_lora(root: Path) -> WriteLora:
    def write(name: str, *, width: int = 2048, **metadata: str) -> Path:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        module = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
        tensors = {
            f"{module}.lora_down.weight": np.zeros((4, width), np.float16),
            f"{module}.lora_up.weight": np.zeros((640, 4), np.float16),
            f"{module}.alpha": np.array(2, np.float16),
        }
        save_file(tensors, path, metadata or None)
        # A time of its own: two writes within one tick of the clock would look the same.
        os.utime(path, ns=(0, next(ticks) * 10**9))
        return path

    ticks = count(1_700_000_000)
    return write
