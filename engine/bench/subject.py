"""What is measured: a model with LoRAs of the user's, or both made of random values."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from safetensors.torch import save_file
from torch import nn

from engine.bench.random_loras import lora_bytes, lora_layers, write_random_loras
from engine.bench.random_model import bytes_of, random_parts
from engine.checkpoint import open_checkpoint
from engine.checkpoint.outline import outline_of
from engine.checkpoint.source import Place, WeightFile, WeightSource
from engine.device import choose_device, choose_dtype
from engine.errors import EngineError
from engine.protocol.refs import LoraRef
from engine.switch.backup import BaseSource

RANDOM_LORAS = 8
SCRATCH = 2 << 30
"""Bytes left free for what a merge, diffusers and the system need beside the weights."""


@dataclass(frozen=True)
class Subject:
    """The networks, the LoRAs, and where the base weights can be read again."""

    model: str
    parts: Mapping[str, nn.Module]
    loras: tuple[LoraRef, ...]
    source: BaseSource | None
    device: torch.device
    dtype: torch.dtype


def random_subject(
    folder: Path,
    *,
    rank: int,
    device: str | None = None,
    dtype: str | None = None,
    loras: int = RANDOM_LORAS,
    small: bool = False,
    with_file: bool = True,
) -> Subject:
    """Make SDXL with random weights, and random LoRAs in `folder`; float16 unless told otherwise.

    `with_file` writes the weights that the LoRAs touch to `folder` too (4.1 GiB), as the file that
    the tier `file` reads, where the disk has room for them.
    Raises `EngineError` when the memory is too small.
    """
    on = torch.device(choose_device(device))
    kind = choose_dtype(dtype or "float16", on.type)
    if not small:
        _require_room(folder, on, outline_of(None, kind), loras, rank)
    parts = random_parts(kind, on, small=small)
    paths = write_random_loras(folder, parts["unet"], rank, loras)
    return Subject(
        "random weights" if not small else "random weights, small",
        parts,
        tuple(LoraRef(path) for path in paths),
        _write_source(folder, parts["unet"]) if with_file else None,
        on,
        kind,
    )


def opened_subject(
    folder: Path,
    model: Path,
    loras: Sequence[Path],
    *,
    rank: int,
    device: str | None = None,
    dtype: str | None = None,
    vae: Path | None = None,
    parts_from: Path | None = None,
) -> Subject:
    """Open a checkpoint with LoRA files; without any, random ones are made for it in `folder`."""
    on = choose_device(device)
    kind = choose_dtype(dtype, on)
    checkpoint = open_checkpoint(model, device=on, dtype=kind, vae=vae, parts_from=parts_from)
    parts = {name: part for name, part in checkpoint.modules.items() if name != "vae"}
    paths = list(loras) or write_random_loras(folder, parts["unet"], rank, RANDOM_LORAS)
    return Subject(
        model.stem,
        {str(part): network for part, network in parts.items()},
        tuple(LoraRef(path) for path in paths),
        checkpoint.source,
        torch.device(on),
        kind,
    )


def _require_room(
    folder: Path, device: torch.device, outline: Mapping[str, nn.Module], loras: int, rank: int
) -> None:
    """Raise `EngineError` with numbers where random weights at full size do not fit."""
    unet = outline["unet"]
    backup = sum(layer.weight.nbytes for _, layer in lora_layers(unet))
    files = loras * lora_bytes(unet, rank)
    weights = bytes_of(outline) + backup + SCRATCH
    # Each file is held in the cache twice: under its name, and as one that was not read before.
    host = 2 * files + (backup + SCRATCH if device.type == "cuda" else weights)
    wants = [
        ("main memory", host, psutil.virtual_memory().available),
        ("the folder for temporary files", files, shutil.disk_usage(folder).free),
    ]
    if device.type == "cuda":
        wants.append(("the GPU", weights, torch.cuda.mem_get_info(device)[0]))
    for where, needed, free in wants:
        if needed > free:
            raise EngineError(
                f"SDXL at full size with {loras} LoRAs of rank {rank} needs "
                f"{needed / 2**30:.1f} GiB of {where}, and {free / 2**30:.1f} GiB are free; "
                "measure the embedded demo with --demo, or make room."
            )


def _write_source(folder: Path, unet: nn.Module) -> WeightSource | None:
    """A file of the weights that LoRAs touch, as a source; None where the disk has no room."""
    weights = {f"{path}.weight": layer.weight.detach() for path, layer in lora_layers(unet)}
    needed = sum(weight.nbytes for weight in weights.values())
    if shutil.disk_usage(folder).free < needed + SCRATCH:
        return None
    path = folder / "base.safetensors"
    save_file({name: weight.cpu() for name, weight in weights.items()}, path)
    file = WeightFile.open(path)
    places = {
        name: Place(file, name, weight.shape, weight.dtype) for name, weight in weights.items()
    }
    return WeightSource({"unet": places})
