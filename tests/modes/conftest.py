"""The tiny model in any memory mode on a CPU, where moves between devices are made real copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.hooks.group_offloading import (
    GroupOffloadingConfig,
    GroupOffloadingType,
    ModuleGroup,
    _apply_group_offloading,
)
from torch import nn

from engine.checkpoint import open_checkpoint
from engine.generate.run import GeneratedPicture, generate
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.switch import visits
from engine.switch.switcher import LoraSwitcher

Arrange = Callable[[Any], None]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order, and no threads in each other's way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@dataclass
class Drawing:
    """A loaded model with its switcher, and pictures of it."""

    pipe: Any
    loras: Path
    output: Path

    def __post_init__(self) -> None:
        self.switcher = LoraSwitcher(
            self.pipe.unet, self.pipe.text_encoder, self.pipe.text_encoder_2
        )

    def switch(self, *names: str) -> None:
        self.switcher.apply([LoraRef(self.loras / f"{name}.safetensors") for name in names])

    def picture(self, side: int = 64) -> np.ndarray:
        request = GenerateRequest(
            "a fox", self.output, "red", seed=7, steps=2, width=side, height=64
        )
        found: list[GeneratedPicture] = []
        generate(
            self.pipe,
            request,
            cancelled=lambda: False,
            on_step=lambda *_: None,
            on_picture=found.append,
        )
        return np.asarray(found[0].image)

    def tour(self, stacks: Sequence[Sequence[str]], side: int = 64) -> list[np.ndarray]:
        """A picture for each stack, switched to one after another."""
        pictures = []
        for stack in stacks:
            self.switch(*stack)
            pictures.append(self.picture(side))
        return pictures


def open_drawing(
    checkpoint: Path, loras: Path, output: Path, arrange: Arrange = lambda pipe: None
) -> Drawing:
    """Open a model, and arrange its pipeline before the switcher is made."""
    pipe = open_checkpoint(checkpoint, device="cpu", dtype=torch.float32).pipeline
    arrange(pipe)
    return Drawing(pipe, loras, output)


@pytest.fixture
def load(tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path) -> Callable[..., Drawing]:
    """`open_drawing` of the tiny model."""
    return partial(open_drawing, tiny_checkpoint, tiny_loras, tmp_path)


@dataclass
class Moves:
    """How often weights went to or from the pretended device."""

    networks: int = 0
    tensors: int = 0
    visiting: list[torch.Tensor] = field(default_factory=list)
    """What was copied for visits, as long as the test lives."""


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> Moves:
    """Let every move of weights make a copy, as between real devices, and count them."""
    counted = Moves()

    def to(module: nn.Module, *_: Any, **__: Any) -> nn.Module:
        counted.networks += 1
        return module._apply(torch.clone)

    def transfer(_: ModuleGroup, tensor: torch.Tensor, source: torch.Tensor, __: Any) -> None:
        counted.tensors += 1
        tensor.data = source.clone()

    def copy_on(_: torch.device, tensor: torch.Tensor) -> torch.Tensor:
        counted.visiting.append(tensor.clone())
        return counted.visiting[-1]

    monkeypatch.setattr(nn.Module, "to", to)
    monkeypatch.setattr(visits, "copy_on", copy_on)
    monkeypatch.setattr(ModuleGroup, "_transfer_tensor_to_device", transfer)
    return counted


class Stream:
    """A stream of copies that are done at once."""

    def synchronize(self) -> None:
        """Nothing is on its way."""


@pytest.fixture
def stream_offload(moves: Moves, monkeypatch: pytest.MonkeyPatch) -> Arrange:
    """Group offload as with a stream on CUDA: pinned copies that count, and copies on the device.

    diffusers' own code, but for pinning and the stream, which need CUDA.
    """

    def to_pinned(tensor: torch.Tensor, _: bool) -> torch.Tensor:
        return tensor.data.clone()

    monkeypatch.setattr(ModuleGroup, "_to_cpu", staticmethod(to_pinned))
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda _: True)
    monkeypatch.setattr(torch.cpu, "current_stream", lambda *_: Stream())

    def arrange(pipe: Any) -> None:
        cpu = torch.device("cpu")
        config = GroupOffloadingConfig(
            onload_device=cpu,
            offload_device=cpu,
            offload_type=GroupOffloadingType.LEAF_LEVEL,
            non_blocking=False,
            record_stream=False,
            low_cpu_mem_usage=False,
            stream=Stream(),  # type: ignore[arg-type]
        )
        for part in (pipe.unet, pipe.text_encoder, pipe.text_encoder_2):
            _apply_group_offloading(part, config)

    return arrange
