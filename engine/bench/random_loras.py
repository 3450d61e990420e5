"""LoRA files with random values for the attention and feed-forward layers of a UNet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from engine.bench.random_model import RandomValues
from engine.sdxl.unet_names import unet_original_path

_SPREAD = 0.02
_METADATA = {"ss_base_model_version": "sdxl_base_v1-0"}


def lora_layers(unet: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """The linear layers that most LoRAs change, with their paths: 722 in SDXL's UNet.

    Those of the transformer blocks (attention and feed-forward), and the projections around them.
    """
    for path, module in unet.named_modules():
        if isinstance(module, nn.Linear) and ".attentions." in path:
            yield path, module


def kohya_name(path: str) -> str:
    """What a module of the UNet is called in a file, without the tensor's own ending."""
    return "lora_unet_" + unet_original_path(path).replace(".", "_")


def lora_bytes(unet: nn.Module, rank: int) -> int:
    """Bytes of such a file in float16, its header aside."""
    return sum(2 * rank * sum(layer.weight.shape) for _, layer in lora_layers(unet))


def write_random_loras(folder: Path, unet: nn.Module, rank: int, count: int) -> list[Path]:
    """Write `count` files as kohya's trainer does: sgm's names, float16, alpha equal to the rank.

    The files are on the disk when this returns, not only in the page cache.
    """
    paths = []
    for number in range(count):
        path = folder / f"random-{number + 1}.safetensors"
        values = RandomValues(torch.float16, torch.device("cpu"), number + 1, _SPREAD)
        save_file(dict(_tensors(unet, rank, values)), path, _METADATA)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        paths.append(path)
    return paths


def _tensors(
    unet: nn.Module, rank: int, values: RandomValues
) -> Iterator[tuple[str, torch.Tensor]]:
    for path, layer in lora_layers(unet):
        name = kohya_name(path)
        rows, columns = layer.weight.shape
        shapes: Mapping[str, tuple[int, int]] = {"up": (rows, rank), "down": (rank, columns)}
        for role, shape in shapes.items():
            factor = torch.empty(shape, dtype=torch.float16)
            values.fill(factor)
            yield f"{name}.lora_{role}.weight", factor
        yield f"{name}.alpha", torch.tensor(float(rank), dtype=torch.float16)
