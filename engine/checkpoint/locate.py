"""Find the place of every parameter of a network in the files that hold it, checking all of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from engine.checkpoint.source import DTYPES, Place, WeightFile
from engine.checkpoint.spellings import Spellings
from engine.errors import CheckpointError
from engine.lora.identify import read_scalar
from engine.sdxl.layout import PREFIXES, Part, Source
from engine.sdxl.part_names import part_name

SCALE_NAMES = ("scale_weight", "weight_scale")
"""What ComfyUI calls the number that a float8 weight is to be multiplied with."""

_NO_WEIGHTS = re.compile(
    r"(?:.*\.)?(?:position_ids|logit_scale|scale_weight|weight_scale|scale_input|input_scale"
    r"|scaled_fp8|comfy_quant|v_pred|ztsnr)"
)
_UNUSED_HEAD = ("text_encoder", "text_projection.weight")
"""A head that CLIP-L is trained with, and SDXL does not use."""
"""Tables and numbers that lie among the weights, and are not needed or read by another way."""


@dataclass(frozen=True)
class PartFiles:
    """The files that hold one network, and how they name its parameters."""

    part: Part
    files: tuple[WeightFile, ...]
    spellings: Spellings
    is_alone: bool = False
    """The files hold nothing else, so that names need no prefix."""

    @cached_property
    def names(self) -> Mapping[str, tuple[tuple[WeightFile, str], ...]]:
        """The network's tensors by their names within it: file and whole name.

        One name may be there twice, in plain and in what a wrapper made of it; the shortest whole
        name comes first.
        """
        found: dict[str, list[tuple[WeightFile, str]]] = {}
        for file in self.files:
            for key in file.header.tensors:
                part, name = part_name(key)
                if part == self.part or (part is None and self.is_alone):
                    found.setdefault(name, []).append((file, key))
        return {n: tuple(sorted(keys, key=lambda k: len(k[1]))) for n, keys in found.items()}


@dataclass(frozen=True)
class Located:
    """Where the parameters of a network lie."""

    places: Mapping[str, Place]
    twice: Mapping[str, tuple[Place, ...]]
    """Other places of those that are stored under several names."""
    unused: tuple[str, ...]
    """Tensors among the network's that are none of its parameters."""


def locate(part: PartFiles, module: nn.Module, dtype: torch.dtype) -> Located:
    """Pair each parameter of `module` with its place, to be loaded as `dtype`.

    Raises `CheckpointError` naming the tensor that is missing, of the wrong size, or quantised.
    """
    places: dict[str, Place] = {}
    twice: dict[str, tuple[Place, ...]] = {}
    for name, parameter in module.named_parameters():
        sources = dict.fromkeys(part.spellings(name))
        held = [(source, *at) for source in sources for at in part.names.get(source.key, ())]
        if not held:
            raise _missing(part, next(iter(sources)).key)
        first, *others = held
        _require_shape(*first, parameter.shape)
        places[name] = _place(*first, parameter.shape, dtype)
        if others := [other for other in others if _fits(*other, parameter.shape)]:
            twice[name] = tuple(_place(*other, parameter.shape, dtype) for other in others)
    used = {p.key for p in places.values()} | {p.key for ps in twice.values() for p in ps}
    unused = tuple(
        key
        for name, keys in part.names.items()
        for _, key in keys
        if key not in used and not _NO_WEIGHTS.fullmatch(name) and (part.part, name) != _UNUSED_HEAD
    )
    return Located(places, twice, unused)


def _missing(part: PartFiles, name: str) -> CheckpointError:
    whole = name if part.is_alone else PREFIXES[part.part] + name
    return CheckpointError(
        f"{part.files[0].path.name}: the tensor {whole} is missing; the file is no whole model, "
        "or one of another structure than SDXL's."
    )


def _require_shape(source: Source, file: WeightFile, key: str, shape: torch.Size) -> None:
    stored = file.header.tensors[key]
    if stored.dtype not in DTYPES:
        raise CheckpointError(
            f"{file.path.name}: the tensor {key} is stored as {stored.dtype}: the model is "
            "quantised, which cannot be read; open one in float16, bfloat16, float32 or float8."
        )
    if not _fits(source, file, key, shape):
        raise CheckpointError(
            f"{file.path.name}: the tensor {key} has the shape {list(stored.shape)}, which does "
            f"not fit SDXL's {list(shape)}."
        )


def _fits(source: Source, file: WeightFile, key: str, shape: torch.Size) -> bool:
    stored = file.header.tensors[key]
    same = _without_ones(stored.shape) == _without_ones(_stored_shape(source, shape))
    return same and stored.dtype in DTYPES


def _place(
    source: Source, file: WeightFile, key: str, shape: torch.Size, dtype: torch.dtype
) -> Place:
    is_float8 = file.header.tensors[key].dtype.startswith("F8")
    scale = _float8_scale(file, key) if is_float8 else 1.0
    return Place(file, key, shape, dtype, source.third, source.transposed, scale)


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
        scale = read_scalar(file.path, info)
        if scale is None:
            one = math.prod(info.shape) == 1
            what = "that is no finite number" if one else f"of the shape {list(info.shape)}"
            raise CheckpointError(
                f"{file.path.name}: the float8 tensor {key} has a scale {what}, where one number "
                "belongs; open a float16 or bfloat16 file."
            )
        return scale
    return 1.0
