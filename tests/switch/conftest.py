"""A tiny loaded model with a switcher, and copies of its weights to compare with."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.checkpoint import open_checkpoint
from engine.protocol.refs import LoraRef
from engine.switch.switcher import LoraSwitcher


@dataclass
class Loaded:
    """A model, its switcher, its LoRAs and what its weights were at load."""

    parts: dict[str, nn.Module]
    switcher: LoraSwitcher
    loras: Path
    base: dict[str, torch.Tensor]

    def weights(self) -> dict[str, torch.Tensor]:
        return {
            f"{part}.{name}": parameter.detach()
            for part, module in self.parts.items()
            for name, parameter in module.named_parameters()
        }

    def ref(self, name: str, unet: float = 1.0, text_encoder: float = 1.0) -> LoraRef:
        return LoraRef(self.loras / f"{name}.safetensors", unet, text_encoder)

    def differing(self) -> list[str]:
        """Names of weights that are not the base's bit for bit."""
        now = self.weights()
        return [name for name, base in self.base.items() if not same_bits(now[name], base)]


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(
        a.contiguous().flatten().view(torch.uint8), b.contiguous().flatten().view(torch.uint8)
    )


@pytest.fixture(scope="session")
def opened(tiny_checkpoint: Path) -> Callable[[torch.dtype], dict[str, nn.Module]]:
    """The tiny model's networks, read once in each dtype; to be copied."""

    @cache
    def read(dtype: torch.dtype) -> dict[str, nn.Module]:
        pipe = open_checkpoint(tiny_checkpoint, device="cpu", dtype=dtype).pipeline
        return {name: getattr(pipe, name) for name in ("unet", "text_encoder", "text_encoder_2")}

    return read


@pytest.fixture
def load(
    opened: Callable[[torch.dtype], dict[str, nn.Module]], tiny_loras: Path
) -> Callable[..., Loaded]:
    """Networks of a test's own in memory; whose weights are pages of a file, is opened anew."""

    def make(dtype: torch.dtype = torch.float16) -> Loaded:
        parts = {name: deepcopy(part) for name, part in opened(dtype).items()}
        loaded = Loaded(parts, LoraSwitcher(**parts), tiny_loras, {})
        loaded.base = {name: weight.clone() for name, weight in loaded.weights().items()}
        return loaded

    return make


@pytest.fixture
def loaded(load: Callable[..., Loaded]) -> Loaded:
    return load()
