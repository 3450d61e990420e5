"""How many merged weights equal the correctly rounded result, here and elsewhere.

The reference is W0 + the sum of strength * up @ down in float64, rounded once to float16. Beside
our merge stand diffusers' fuse, and the simple way: each LoRA's delta rounded to float16 and added
in float16, one LoRA after another.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from engine.bench.peers import HAS_PEFT, pipeline_of, quiet_peft
from engine.bench.random_loras import kohya_name, lora_layers
from engine.bench.subject import random_subject
from engine.protocol.refs import LoraRef
from engine.switch.switcher import LoraSwitcher

RANK = 32
STRENGTHS = ((1.0,), (0.8, 0.6, -0.4))
"""Of the stacks measured."""

Factors = tuple[torch.Tensor, torch.Tensor]
Merge = Callable[[torch.Tensor, Sequence[tuple[float, Factors]]], torch.Tensor]


def measure(*, quick: bool) -> dict[str, Any]:
    """Shares of equal weights by stack and method, over all weights that the LoRAs touch."""
    rank = 4 if quick else RANK
    with tempfile.TemporaryDirectory() as folder:
        subject = random_subject(Path(folder), rank=rank, loras=3, small=quick, with_file=False)
        paths = [ref.path for ref in subject.loras]
        comparison = Comparison(subject.parts["unet"], [load_file(path) for path in paths])
        switcher = LoraSwitcher(subject.parts["unet"])
        stacks = []
        for strengths in STRENGTHS:
            refs = [LoraRef(path, s) for path, s in zip(paths, strengths, strict=False)]
            switcher.apply(refs)
            shares = {"ours": comparison.share_equal(strengths)}
            switcher.apply(())
            shares["rounded_deltas"] = comparison.share_equal(strengths, add_rounded)
            if HAS_PEFT:
                fuse(subject.parts, paths, strengths)
                shares["diffusers_fuse"] = comparison.share_equal(strengths)
                comparison.restore()
            stacks.append({"loras": len(strengths), "share_equal": shares})
    return {"rank": rank, "dtype": "float16", "weights": comparison.weights, "stacks": stacks}


class Comparison:
    """The base weights, the factors of the LoRAs, and the weights that are live now."""

    def __init__(self, unet: nn.Module, files: Sequence[Mapping[str, torch.Tensor]]) -> None:
        self._unet = unet
        self._files = files
        self._base = {path: layer.weight.clone() for path, layer in lora_layers(unet)}
        self.weights = sum(weight.numel() for weight in self._base.values())

    def share_equal(self, strengths: Sequence[float], merge: Merge | None = None) -> float:
        """The share of weights, live or as `merge` makes them, that equal the reference."""
        equal = 0
        for path, base in self._base.items():
            terms = list(zip(strengths, self._factors(path), strict=False))
            live = self._unet.get_submodule(path).get_parameter("weight")
            found = live if merge is None else merge(base, terms)
            equal += int((found.numpy() == rounded_once(base, terms)).sum())
        return equal / self.weights

    def restore(self) -> None:
        """Write the base weights back."""
        for path, base in self._base.items():
            self._unet.get_submodule(path).get_parameter("weight").copy_(base)

    def _factors(self, path: str) -> Iterator[Factors]:
        name = kohya_name(path)
        for file in self._files:
            yield file[f"{name}.lora_up.weight"], file[f"{name}.lora_down.weight"]


def rounded_once(base: torch.Tensor, terms: Sequence[tuple[float, Factors]]) -> Any:
    """The float64 sum as float16; numpy rounds in one step, torch by way of float32."""
    total = base.double()
    for strength, (up, down) in terms:
        total += strength * (up.double() @ down.double())
    return total.numpy().astype(np.float16)


def add_rounded(base: torch.Tensor, terms: Sequence[tuple[float, Factors]]) -> torch.Tensor:
    """Each delta in float32, rounded to float16 and added in float16."""
    total = base
    for strength, (up, down) in terms:
        total = total + (strength * (up.float() @ down.float())).half()
    return total


def fuse(parts: Mapping[str, nn.Module], paths: Sequence[Path], strengths: Sequence[float]) -> None:
    """Merge a stack with diffusers, and take PEFT's layers off again."""
    pipe = pipeline_of(parts)
    names = [f"lora{number}" for number in range(len(strengths))]
    with quiet_peft():
        for path, name in zip(paths, names, strict=False):
            pipe.load_lora_weights(load_file(path), adapter_name=name)
        pipe.set_adapters(names, list(strengths))
        pipe.fuse_lora(adapter_names=names)
        pipe.unload_lora_weights()
