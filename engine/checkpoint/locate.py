"""Find the place of every parameter of a network in the files that hold it, checking all of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from engine.checkpoint.layout import Source
from engine.checkpoint.source import DTYPES, Place, WeightFile
from engine.errors import CheckpointError
from engine.lora.identify import read_scalar

Spellings = Callable[[str], Iterable[Source]]
"""Where a parameter may lie, by its name in diffusers or transformers; the likeliest first."""

SCALE_NAMES = ("scale_weight", "weight_scale")
"""What ComfyUI calls the number that a float8 weight is to be multiplied with."""


@dataclass(frozen=True)
class PartFiles:
    """The files that hold one network, and how they name its parameters."""

    files: tuple[WeightFile, ...]
    spellings: Spellings


def locate(part: PartFiles, module: nn.Module, dtype: torch.dtype) -> Mapping[str, Place]:
    """Pair each parameter of `module` with its place, to be loaded as `dtype`.

    Raises `CheckpointError` naming the tensor that is missing, of the wrong size, or quantised.
    """
    holders = {key: file for file in part.files for key in file.header.tensors}
    return {
        name: _place(part, holders, name, parameter.shape, dtype)
        for name, parameter in module.named_parameters()
    }


def _place(
    part: PartFiles,
    holders: Mapping[str, WeightFile],
    name: str,
    shape: torch.Size,
    dtype: torch.dtype,
) -> Place:
    spellings = list(part.spellings(name))
    source = next((spelling for spelling in spellings if spelling.key in holders), None)
    if source is None:
        raise CheckpointError(
            f"{part.files[0].path.name}: the tensor {spellings[0].key} is missing; download it "
            "again."
        )
    file = holders[source.key]
    stored = file.header.tensors[source.key]
    if stored.dtype not in DTYPES:
        raise CheckpointError(
            f"{file.path.name}: the tensor {source.key} is stored as {stored.dtype}: the model is "
            "quantised, which cannot be read; open one in float16, bfloat16, float32 or float8."
        )
    if _without_ones(stored.shape) != _without_ones(_stored_shape(source, shape)):
        raise CheckpointError(
            f"{file.path.name}: the tensor {source.key} has the shape {list(stored.shape)}, which "
            f"does not fit SDXL's {list(shape)}."
        )
    scale = _float8_scale(file, source.key) if stored.dtype.startswith("F8") else 1.0
    return Place(file, source.key, shape, dtype, source.third, source.transposed, scale)


def _stored_shape(source: Source, shape: torch.Size) -> tuple[int, ...]:
    stored = tuple(reversed(shape)) if source.transposed else tuple(shape)
    return (3 * stored[0], *stored[1:]) if source.third is not None else stored


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the ones at its end: a linear layer may be stored as a 1x1 convolution."""
    length = len(shape)
    while length and shape[length - 1] == 1:
        length -= 1
    return shape[:length]


def _float8_scale(file: WeightFile, key: str) -> float:
    """The number that ComfyUI's scaled float8 files keep beside a weight; 1 without one."""
    for name in SCALE_NAMES:
        info = file.header.tensors.get(key.removesuffix("weight") + name)
        if info is None:
            continue
        scale = read_scalar(file.path, info) if math.prod(info.shape) == 1 else None
        if scale is None:
            raise CheckpointError(
                f"{file.path.name}: the float8 tensor {key} has a scale of the shape "
                f"{list(info.shape)} instead of one number; open a float16 or bfloat16 file."
            )
        return scale
    return 1.0
