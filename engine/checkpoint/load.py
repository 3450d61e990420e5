"""Fill empty networks with their weights: the mapped file itself where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from engine.checkpoint.finite import FiniteCheck
from engine.checkpoint.source import Place
from engine.checkpoint.upload import uploaded
from engine.errors import CheckpointError
from engine.host_memory import HostMemory
from engine.sdxl.layout import Part

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all; may raise to stop the loading."""


class Loaded(NamedTuple):
    """What is to be known of weights that were loaded."""

    views: set[tuple[str, str]]
    """The parameters, by part and name, that are views of the mapped file."""
    zeros: tuple[Place, ...]
    """The weights that are nothing but zeros, biases and norms apart."""


def load_weights(
    modules: Mapping[Part, nn.Module],
    places: Mapping[Part, Mapping[str, Place]],
    *,
    device: str,
    visitors: Collection[Part],
    channels_last: bool,
    progress: Progress,
) -> Loaded:
    """Give every module its parameters on `device`, frozen and in evaluation mode.

    Those of `visitors` go to main memory, pinned where they will be copied to a GPU of CUDA. To
    such a GPU weights are sent while others are read.
    On a CPU a parameter stored in its own dtype and order becomes a view of the privately mapped
    file, but for the VAE's, since nobody proves those when the file is written to. Any other is
    read and converted alone, so that beside the parameters there is never more than one tensor.
    `channels_last` orders the weights of convolutions so.
    Raises `CheckpointError` when a file has changed since it was opened, or holds values that are
    not finite.
    """
    total = sum(place.nbytes for part in places.values() for place in part.values())
    done = 0
    check = FiniteCheck()
    where = {part: "cpu" if part in visitors else device for part in modules}
    with ExitStack() as stack:
        reading = _Reading(_MappedFiles(stack), device, channels_last)
        for part, module in modules.items():
            for name, tensor in reading.of(part, places[part], where[part]):
                place = places[part][name]
                check.add(place, tensor)
                _set_parameter(module, name, tensor)
                done += place.nbytes
                progress(done, total)
    zeros = check.require_finite()
    for part, module in modules.items():
        # The buffers, which no file holds, are still on the CPU.
        module.to(where[part]).eval().requires_grad_(False)
    return Loaded(reading.views, zeros)


class _Reading:
    """Reads the weights of one part after the other, and knows which are views of a file."""

    def __init__(self, mapped: _MappedFiles, device: str, channels_last: bool) -> None:
        self._mapped, self._device, self._channels_last = mapped, device, channels_last
        self._memory, self._pinned = HostMemory(), HostMemory(pinned=True)
        self.views: set[tuple[str, str]] = set()

    def of(
        self, part: Part, places: Mapping[str, Place], home: str
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """Each weight on `home`, in any order."""
        stream = {name: p for name, p in places.items() if p.is_plain} if _streams(home) else {}
        with closing(uploaded(stream.items(), torch.device(home))) as arriving:
            for name, tensor in arriving:
                yield name, self._ordered(tensor)
        for name, place in places.items():
            if name not in stream:
                yield name, self._one(part, name, place, home)

    def _one(self, part: Part, name: str, place: Place, home: str) -> torch.Tensor:
        if home != "cpu":
            return self._ordered(place.read()).to(home)
        if self._channels_last and len(place.shape) == 4:
            return self._memory.copy(self._ordered(place.read()))
        if self._device.startswith("cuda"):
            return place.read(self._pinned)
        if place.is_plain and part != "vae":
            self.views.add((part, name))
            return self._mapped.read(place)
        return place.read(self._memory)

    def _ordered(self, tensor: torch.Tensor) -> torch.Tensor:
        is_convolution = self._channels_last and tensor.dim() == 4
        return tensor.contiguous(memory_format=torch.channels_last) if is_convolution else tensor


def _streams(home: str) -> bool:
    """Whether weights are sent while others are read: GPUs of CUDA and ROCm copy by themselves."""
    return home.startswith("cuda")


class _MappedFiles:
    """Maps each file once, and cuts tensors out of the mapping."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._open: dict[Path, Any] = {}

    def read(self, place: Place) -> torch.Tensor:
        tensor: torch.Tensor = self._map(place.file.path).get_tensor(place.key)
        if place.third is not None:
            tensor = tensor.chunk(3)[place.third]
        return tensor.reshape(place.shape)

    def _map(self, path: Path) -> Any:
        if path not in self._open:
            try:
                file = safe_open(path, framework="pt", device="cpu")
            except (OSError, SafetensorError) as error:
                raise CheckpointError(f"{path}: cannot be read ({error}).") from error
            self._open[path] = self._stack.enter_context(file)
        return self._open[path]


def _set_parameter(module: nn.Module, name: str, tensor: torch.Tensor) -> None:
    path, _, attribute = name.rpartition(".")
    owner = module.get_submodule(path)
    setattr(owner, attribute, nn.Parameter(tensor, requires_grad=False))
