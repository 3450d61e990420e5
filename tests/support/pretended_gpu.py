"""A GPU for machines without one: tensors that say they are on `cuda:0`, and compute on the CPU.

What mixes them with tensors on the CPU raises, as on a GPU. So it is seen that everything is where
it belongs, and with the same kernels behind both, results can be compared bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from engine.switch import fingerprint, grouped, loras

GPU = torch.device("cuda:0")

_CROSSING = ("aten.copy_.default", "aten._foreach_copy_.default")
"""What may read from one device and write to another."""

_JOINING = ("aten.stack.default", "aten.cat.default")
"""What takes no single numbers from the CPU either."""


class OnGpu(torch.Tensor):
    """A tensor that says it is on the GPU; `held` has its numbers."""

    held: torch.Tensor

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnGpu:
        made: OnGpu = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), held.stride(), held.storage_offset(), dtype=held.dtype, device=GPU
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})

    # What PyTorch does for these by itself needs a build with CUDA.

    def __getitem__(self, index: Any) -> OnGpu:
        return OnGpu(self.held[_held(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self.held[_held(index)] = _held(value)

    def __bool__(self) -> bool:
        return bool(self.held)

    def __float__(self) -> float:
        return float(self.held)

    def contiguous(self, *, memory_format: Any = torch.contiguous_format) -> OnGpu:
        return OnGpu(self.held.contiguous(memory_format=memory_format))

    def copy_(self, source: torch.Tensor, non_blocking: bool = False) -> OnGpu:
        self.held.copy_(_held(source))
        return self

    def cpu(self) -> torch.Tensor:  # type: ignore[override]
        return self.held.clone()

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def item(self) -> Any:
        return self.held.item()

    def tolist(self) -> Any:
        return self.held.tolist()


class _Everywhere(TorchDispatchMode):
    """Also what begins on the CPU, or with no tensor at all."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


def _changed(value: Any, kind: type[Any], change: Callable[[Any], Any]) -> Any:
    """What `change` makes of all of a kind, also within lists."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)([_changed(member, kind, change) for member in value])
    return value


def _held(value: Any) -> Any:
    return _changed(value, OnGpu, lambda tensor: tensor.held)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _tensors(member)


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    # There is no memory to pin.
    kwargs = {name: value for name, value in kwargs.items() if name != "pin_memory"}
    tensors = [*_tensors(args), *_tensors([*kwargs.values()])]
    there = [tensor for tensor in tensors if isinstance(tensor, OnGpu)]
    device = kwargs.get("device")
    to_gpu = bool(there) if device is None else torch.device(device).type == "cuda"
    if not there and not to_gpu:
        return func(*args, **kwargs)
    if device is not None:
        kwargs["device"] = torch.device("cpu")
    elif str(func) not in _CROSSING and any(
        tensor.dim() or str(func) in _JOINING for tensor in tensors if not isinstance(tensor, OnGpu)
    ):
        raise RuntimeError(f"{func}: tensors on the GPU and on the CPU")
    made = func(*_held(args), **{name: _held(value) for name, value in kwargs.items()})
    # What is written in place stays the tensor that it is.
    same = {id(_held(tensor)): tensor for tensor in tensors}

    def wrapped(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) in same:
            return same[id(tensor)]
        return OnGpu(tensor) if to_gpu else tensor

    return _changed(made, torch.Tensor, wrapped)


@contextmanager
def pretended_gpu(patch: pytest.MonkeyPatch, free: int = 8 << 30) -> Iterator[None]:
    """Have `cuda:0` with so many bytes free, and no kernels; skips where there is a real one."""
    if torch.cuda.is_available():
        pytest.skip("there is a real one")
    torch._C._ensureCUDADeviceGuardSet()
    plain, plainly = torch.tensor, fingerprint._fingerprint

    def nothing(*_: object) -> None:
        pass

    def quickly(weight: torch.Tensor) -> torch.Tensor:
        return OnGpu(plainly(weight.held)) if isinstance(weight, OnGpu) else plainly(weight)

    def tensor(data: Any, *, device: Any = None, pin_memory: bool = False, **given: Any) -> Any:
        made = plain(data, **given)
        on_gpu = device is not None and torch.device(device).type == "cuda"
        return OnGpu(made) if on_gpu else made

    for name, value in {
        "_lazy_init": nothing,
        "synchronize": nothing,
        "mem_get_info": lambda *_: (free, free),
        "memory_reserved": lambda *_: 0,
        "memory_allocated": lambda *_: 0,
        "Event": lambda: SimpleNamespace(record=nothing, synchronize=nothing),
        "current_stream": lambda *_: SimpleNamespace(synchronize=nothing),
        "get_device_capability": lambda *_: (9, 0),
        "device": lambda *_: nullcontext(),
    }.items():
        patch.setattr(torch.cuda, name, value)
    patch.setattr(torch, "tensor", tensor)
    patch.setattr(fingerprint, "_fingerprint", quickly)
    patch.setattr(torch.Tensor, "pin_memory", lambda held: held)
    patch.setattr(grouped, "kernels_run_on", lambda device: False)
    patch.setattr(loras, "lora_bytes", lambda device: 1 << 30)
    with _Everywhere():
        yield
