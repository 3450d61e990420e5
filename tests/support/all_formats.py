"""A library with one LoRA of every family, by LyCORIS' and PEFT's own savers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from tests.support import lycoris_files, peft_files


def write_all_formats(folder: Path, unet: nn.Module) -> list[Path]:
    """Write a file for each family to `folder`, for a UNet of SDXL's structure; returns them.

    LyCORIS' have the names of kohya's files, PEFT's those of PEFT.
    """
    paths = []
    for number, (name, family) in enumerate(lycoris_files.FAMILIES.items()):
        path = folder / f"{name.replace(' ', '_')}.safetensors"
        dtype = (torch.float16, torch.bfloat16, torch.float32)[number % 3]
        lycoris_files.write(family, unet, dtype, path, strengths=())
        paths.append(path)
    for name, peft_family in peft_files.FAMILIES.items():
        subfolder = folder / f"peft_{name.replace(' ', '_')}"
        subfolder.mkdir()
        adapted = peft_files.adapt(peft_family, unet, torch.float16)
        paths.append(peft_files.save(adapted, "peft", subfolder))
    return paths
