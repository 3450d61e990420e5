"""Adapters whose factors lie on a GPU: one copy per LoRA file, bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import fields, replace
from typing import TypeVar

import torch

from engine.lora.families import Adapter
from engine.lora.file import LoraFile

Name = TypeVar("Name")
Move = Callable[[torch.Tensor], torch.Tensor]


class DeviceLoras:
    """Copies LoRA files to a device as wholes, and keeps the last ones, up to `limit` bytes.

    A file that is larger is for the caller to leave where it is: the newest always stays. What a
    file's adapters for a model are does not change, so they are kept with its bytes. `on_drop` is
    called before files are given up: whoever keeps their adapters lets go of them too.
    """

    def __init__(
        self, device: torch.device, limit: int, on_drop: Callable[[], None] = lambda: None
    ) -> None:
        self.device = device
        self.limit = limit
        self._on_drop = on_drop
        self._held: OrderedDict[LoraFile, Mapping[object, Adapter]] = OrderedDict()

    @property
    def bytes(self) -> int:
        """Bytes of the files held on the device."""
        return sum(file.bytes for file in tuple(self._held))

    def adapters(
        self,
        file: LoraFile,
        adapters: Mapping[Name, Adapter],
        elsewhere: Collection[Name] = (),
    ) -> Mapping[Name, Adapter]:
        """The adapters of a file that was read, with their tensors on the device.

        Those of weights that are `elsewhere` stay where they are. Raises torch's own error when the
        device has no room.
        """
        held = self._held.pop(file, None)
        if held is None:
            self.make_room(file.bytes)
            move = _Mover(self.device)
            held = {
                name: adapter if name in elsewhere else moved(adapter, move)
                for name, adapter in adapters.items()
            }
            if self.device.type == "cuda":
                # The host's copy of the file may be dropped before the GPU would have read it.
                torch.cuda.current_stream(self.device).synchronize()
        self._held[file] = held
        return held  # type: ignore[return-value]

    def holds(self, file: LoraFile, adapters: Mapping[Name, Adapter]) -> bool:
        """Whether these are the adapters of the file on the device."""
        return self._held.get(file) is adapters

    def make_room(self, needed: int) -> None:
        """Drop the files that were not used for the longest time."""
        if self._held and self.bytes + needed > self.limit:
            self._on_drop()
        while self._held and self.bytes + needed > self.limit:
            self._held.popitem(last=False)


def sent(adapter: Adapter, device: torch.device) -> Adapter:
    """An adapter with its tensors on a device: itself where they are, else a copy on its way.

    What is copied from pinned memory must be kept until the device is done with its work.
    """

    def send(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(device, non_blocking=True)

    return adapter if all(t.device == device for t in _tensors(adapter)) else moved(adapter, send)


def _tensors(value: object) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Adapter):
        for field in fields(value):  # type: ignore[arg-type]
            yield from _tensors(getattr(value, field.name))
    elif isinstance(value, tuple):
        for member in value:
            yield from _tensors(member)


class _Mover:
    """Moves tensors; those that share a buffer are moved with it, by one copy."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._buffers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        start = tensor.data_ptr() - storage.data_ptr()
        if not tensor.numel() or start % tensor.itemsize:
            return tensor.to(self._device)
        if storage.data_ptr() not in self._buffers:
            host = torch.empty(0, dtype=torch.uint8).set_(storage)
            # The host's is kept until all are moved: another storage could take its address.
            self._buffers[storage.data_ptr()] = host, host.to(self._device, non_blocking=True)
        flat = self._buffers[storage.data_ptr()][1][start:]
        usable = flat.numel() // tensor.itemsize * tensor.itemsize
        view = flat[:usable].view(tensor.dtype).as_strided(tensor.shape, tensor.stride())
        # Kernels read fastest from multiples of 16 bytes.
        return view if start % 16 == 0 else view.clone()


def moved(adapter: Adapter, move: Move) -> Adapter:
    """An adapter of which every tensor is what `move` makes of it."""
    values = {field.name: getattr(adapter, field.name) for field in fields(adapter)}  # type: ignore[arg-type]
    return replace(adapter, **{name: _moved_value(value, move) for name, value in values.items()})  # type: ignore[type-var]


def _moved_value(value: object, move: Move) -> object:
    if isinstance(value, torch.Tensor):
        return move(value)
    if isinstance(value, Adapter):
        return moved(value, move)
    if isinstance(value, tuple):
        return tuple(_moved_value(member, move) for member in value)
    return value
