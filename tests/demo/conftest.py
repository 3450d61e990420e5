"""The demo model, opened once for a dtype, and its LoRAs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.checkpoint import open_checkpoint
from engine.demo import DEMO_LORAS, DEMO_MODEL

PARTS = ("unet", "text_encoder", "text_encoder_2")


@pytest.fixture(scope="session")
def demo_parts() -> Callable[[torch.dtype], dict[str, nn.Module]]:
    """Open the demo's UNet and text encoders; tests that change them put them back."""

    @cache
    def open_parts(dtype: torch.dtype) -> dict[str, nn.Module]:
        pipe = open_checkpoint(DEMO_MODEL, device="cpu", dtype=dtype).pipeline
        return {part: getattr(pipe, part) for part in PARTS}

    return open_parts


def demo_loras() -> list[Path]:
    """The LoRA files that ship with the package."""
    return sorted(DEMO_LORAS.rglob("*.safetensors"))
