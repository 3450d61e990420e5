"""Fill empty networks with their weights: the mapped file itself where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from engine.checkpoint.finite import FiniteCheck
from engine.checkpoint.source import Place
from engine.errors import CheckpointError
from engine.host_memory import HostMemory
from engine.sdxl.layout import Part

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all; may raise to stop the loading."""


def load_weights(
    modules: Mapping[Part, nn.Module],
    places: Mapping[Part, Mapping[str, Place]],
    *,
    device: str,
    visitors: Collection[Part],
    channels_last: bool,
    progress: Progress,
) -> set[tuple[str, str]]:
    """Give every module its parameters on `device`, one by one, frozen and in evaluation mode.

    Those of `visitors` go to main memory, pinned where they will be copied to a GPU of CUDA.
    On a CPU a parameter stored in its own dtype and order becomes a view of the privately mapped
    file, but for the VAE's, since nobody proves those when the file is written to. Any other is
    read and converted alone, so that beside the parameters there is never more than one tensor.
    `channels_last` orders the weights of convolutions so.
    Returns which parameters, by part and name, are views of the file.
    Raises `CheckpointError` when a file has changed since it was opened, or holds values that are
    not finite.
    """
    total = sum(place.nbytes for part in places.values() for place in part.values())
    done = 0
    views: set[tuple[str, str]] = set()
    check = FiniteCheck()
    memory, pinned = HostMemory(), HostMemory(pinned=True)
    where = {part: "cpu" if part in visitors else device for part in modules}
    with ExitStack() as stack:
        mapped = _MappedFiles(stack)
        for part, module in modules.items():
            home = where[part]
            for name, place in places[part].items():
                last = channels_last and len(place.shape) == 4
                if last:
                    tensor = place.read().contiguous(memory_format=torch.channels_last)
                    tensor = memory.copy(tensor) if home == "cpu" else tensor.to(home)
                elif home != "cpu":
                    tensor = place.read().to(home)
                elif device.startswith("cuda"):
                    tensor = place.read(pinned)
                elif place.is_plain and part != "vae":
                    tensor = mapped.read(place)
                    views.add((part, name))
                else:
                    tensor = place.read(memory)
                check.add(place, tensor)
                _set_parameter(module, name, tensor)
                done += place.nbytes
                progress(done, total)
    check.require_finite()
    for part, module in modules.items():
        # The buffers, which no file holds, are still on the CPU.
        module.to(where[part]).eval().requires_grad_(False)
    return views


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
