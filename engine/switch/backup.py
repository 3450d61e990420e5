"""W0 of the weights that a stack changes: copies on the device or in host memory, or the file."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch

from engine.errors import SwitchError
from engine.host_memory import HostMemory
from engine.protocol.reports import Tier
from engine.switch.plan import WeightName
from engine.switch.tier import Rooms

Live = Callable[[WeightName], torch.Tensor]
"""Finds the live weight of a name."""


class ModelFile(Protocol):
    """The file (or files) of a model, whose pages may be its weights."""

    def version(self) -> object:
        """Equal as long as what is read is what was read before."""

    def is_mapped(self, part: str, name: str) -> bool:
        """Whether the parameter is a view of the mapped file, which takes memory once written."""

    def require_whole(self) -> None:
        """Raise `EngineError` when a mapped file has become shorter."""

    def require_as_loaded(self) -> None:
        """Raise `EngineError` when a mapped file was written to since it was loaded."""


class BaseSource(ModelFile, Protocol):
    """Reads base weights again from where the model was loaded from."""

    def read(self, part: str, name: str) -> torch.Tensor:
        """One parameter as it was loaded; raises `EngineError` or `KeyError`."""

    def read_into(self, part: str, name: str, target: torch.Tensor) -> None:
        """Read one parameter into a tensor like it; raises what `read` does."""


class Backups:
    """Base weights of changed parameters, in one tier; the tier can be moved at any time.

    `device`: copies beside the live weights, as many as it has room for, and the rest in host
    memory. `cpu`: copies in host memory, pinned of weights that live on CUDA. `file`: no copies;
    `source` reads them again.

    Copies that no live LoRA needs are kept up to `idle_limit` bytes, the longest unneeded out
    first: they spare the next switch a copy. Those on a GPU are kept only with `idle_on_gpu`.
    """

    def __init__(
        self,
        tier: Tier,
        source: BaseSource | None = None,
        idle_limit: int = 0,
        *,
        idle_on_gpu: bool = False,
    ) -> None:
        if tier == "file" and source is None:
            raise SwitchError(_NO_SOURCE)
        self._tier: Tier = tier
        self._source = source
        self._pinned, self._pageable = HostMemory(pinned=True), HostMemory()
        self._saved: dict[WeightName, torch.Tensor | None] = {}
        self._idle: dict[WeightName, None] = {}
        self._promised: dict[WeightName, torch.Tensor] = {}
        self.idle_limit = idle_limit
        self._idle_on_gpu = idle_on_gpu

    @property
    def tier(self) -> Tier:
        """Where the base weights are kept."""
        return self._tier

    @property
    def bytes(self) -> int:
        """Bytes of all copies."""
        # At once, since other threads may ask.
        saved = tuple(self._saved.values())
        return sum(tensor.nbytes for tensor in saved if tensor is not None)

    @property
    def bytes_on_gpu(self) -> int:
        """Bytes of the copies that are not in host memory."""
        saved = tuple(self._saved.values())
        return sum(tensor.nbytes for tensor in saved if tensor is not None and is_on_gpu(tensor))

    def __contains__(self, name: WeightName) -> bool:
        return name in self._saved

    def names(self) -> tuple[WeightName, ...]:
        """The weights that are backed up and needed."""
        idle = self._idle
        return tuple([name for name in self._saved if name not in idle] if idle else self._saved)

    def save(
        self, weights: Mapping[WeightName, torch.Tensor], by_merge: Container[WeightName] = ()
    ) -> None:
        """Keep base weights that are not kept yet, and that have not been changed.

        Of those that are `by_merge`, copies beside the weights are left to the merge, which has
        the base weights in hand: they are `promised`, and count from `fulfil` on.
        """
        self.forget_promised()
        if self._tier == "file":
            self._saved.update(dict.fromkeys(weights))
        elif weights:
            rooms = Rooms()
            copies = {
                name: self._place(weight, self._tier, weight.device, rooms)
                for name, weight in weights.items()
            }
            promised = {
                name: copy
                for name, copy in copies.items()
                if name in by_merge and is_beside(copy, weights[name])
            }
            now = [name for name in copies if name not in promised]
            copy_all([copies[name] for name in now], [weights[name] for name in now])
            self._saved.update({name: copies[name] for name in now})
            self._promised = promised

    @property
    def promised(self) -> Mapping[WeightName, torch.Tensor]:
        """Copies that a merge is to write, or was to write when it failed."""
        return self._promised

    def forget_promised(self) -> None:
        """Drop copies that were promised; those that are counted stay."""
        self._promised = {}

    def fulfil(self) -> None:
        """Count the promised copies, which are written."""
        self._saved.update(self._promised)
        self.forget_promised()

    def keep(self, names: Iterable[WeightName]) -> None:
        """Need these copies, should any of them be idle."""
        if self._idle:
            for name in names:
                self._idle.pop(name, None)

    def get(self, name: WeightName) -> torch.Tensor:
        """A base weight that is backed up; raises `KeyError` for another.

        In the tier `file` it is read, which raises `EngineError` when the file has changed.
        """
        saved = self._saved[name]
        return self.read_source(name) if saved is None else saved

    def bring_back(self, names: Iterable[WeightName], live: Live) -> None:
        """Write base weights that are backed up into the live ones, found by `live`.

        Raises as `get` does; what is live then is not to be used.
        """
        if self._tier == "file":
            for name in names:
                with self._reading(name) as source:
                    source.read_into(name.part, name.parameter, live(name))
            return
        targets = {name: live(name) for name in names}
        if targets:
            copy_all([*targets.values()], [self.get(name) for name in targets])

    def read_source(self, name: WeightName) -> torch.Tensor:
        """Read a base weight from the source; raises `EngineError` when that cannot be."""
        with self._reading(name) as source:
            return source.read(name.part, name.parameter)

    @contextmanager
    def _reading(self, name: WeightName) -> Iterator[BaseSource]:
        if self._source is None:
            raise SwitchError(_NO_SOURCE)
        try:
            yield self._source
        except KeyError as error:
            raise SwitchError(
                f"The model's file does not hold {name}; keep the backups in memory."
            ) from error

    def source_version(self) -> object:
        """The version of what `read_source` reads; None without a source."""
        return None if self._source is None else self._source.version()

    def release(self, names: Iterable[WeightName]) -> None:
        """Give up backups that no live LoRA needs."""
        for name in names:
            if name in self._saved:
                self._idle[name] = None
        if not self._idle_on_gpu:
            saved = ((name, self._saved[name]) for name in self._idle)
            self.forget([name for name, copy in saved if copy is not None and is_on_gpu(copy)])
        excess = sum(self._bytes_of(name) for name in self._idle) - self.idle_limit
        for name in tuple(self._idle):
            if excess <= 0 < self.idle_limit:
                break
            excess -= self._bytes_of(name)
            self._forget(name)

    def forget_idle(self) -> None:
        """Drop the copies that no live LoRA needs, whatever the bound."""
        self.forget(tuple(self._idle))

    def forget(self, names: Iterable[WeightName]) -> None:
        """Drop backups, whatever the bound."""
        for name in tuple(names):
            self._forget(name)

    def move(self, tier: Tier, live: Live, check: Callable[[], None]) -> None:
        """Move everything to a tier, one by one; the live weights are found by `live`.

        The caller has checked that the source holds the base, from or for the tier `file`; `check`
        raises when it may not any more. When moving fails part-way, what has moved goes back, and
        the tier stays the old one.
        """
        if tier == self._tier:
            return
        self.forget_idle()
        moved: list[WeightName] = []
        try:
            check()
            rooms = Rooms()
            for name in self._saved:
                self._saved[name] = self._copy(self.get(name), tier, live(name).device, rooms)
                moved.append(name)
            if self._tier == "file":
                check()
        except BaseException:
            rooms = Rooms()
            for name in moved:
                device = live(name).device
                self._saved[name] = self._copy(self.get(name), self._tier, device, rooms)
            raise
        self._tier = tier

    def _copy(
        self, tensor: torch.Tensor, tier: Tier, device: torch.device, rooms: Rooms
    ) -> torch.Tensor | None:
        if tier == "file":
            return None
        copy = self._place(tensor, tier, device, rooms)
        copy_all([copy], [tensor])
        if device.type == "cuda":
            # The tensor that it was copied from is dropped next.
            torch.cuda.synchronize(device)
        return copy

    def _place(
        self, tensor: torch.Tensor, tier: Tier, device: torch.device, rooms: Rooms
    ) -> torch.Tensor:
        """Memory for a copy in a tier, of a weight that lives on `device`."""
        if tier == "device" and (room := rooms.on(device)).take(tensor.nbytes):
            try:
                return torch.empty_like(tensor, device=device)
            except torch.OutOfMemoryError:
                # What is free lies in pieces that are too small, or somebody else took it.
                room.close()
        memory = self._pinned if device.type == "cuda" else self._pageable
        return memory.like(tensor)

    def _bytes_of(self, name: WeightName) -> int:
        saved = self._saved[name]
        return 0 if saved is None else saved.nbytes

    def _forget(self, name: WeightName) -> None:
        # In this order an interrupt between them leaves nothing idle that is not there.
        self._idle.pop(name, None)
        self._saved.pop(name, None)


def is_on_gpu(tensor: torch.Tensor) -> bool:
    """Whether a tensor is not in host memory."""
    return tensor.device.type != "cpu"


def is_beside(copy: torch.Tensor, live: torch.Tensor) -> bool:
    """Whether a copy is where the live weight is: it takes no way over the bus."""
    return copy.get_device() == live.get_device()


Way = tuple[torch.device, torch.device]
"""To a device, and from which."""


def copy_all(targets: Sequence[torch.Tensor], sources: Sequence[torch.Tensor]) -> None:
    """Copy tensors, few at a time or hundreds, with as few launches as the device allows.

    Waits for copies from a GPU to main memory: nothing reads those before they are whole. Those to
    a GPU are in the order of its work; what they are read from must be kept until it is done.
    """
    # Apart, since only what stays on one device is copied all at once.
    groups: dict[Way, list[tuple[torch.Tensor, torch.Tensor]]] = {}
    for target, source in zip(targets, sources, strict=True):
        groups.setdefault((target.device, source.device), []).append((target, source))
    for (here, there), pairs in groups.items():
        to, from_ = map(list, zip(*pairs, strict=True))
        known = {here.type, there.type} <= {"cpu", "cuda"}
        torch._foreach_copy_(to, from_, non_blocking=known)
    for here, there in groups:
        if (here.type, there.type) == ("cpu", "cuda"):
            torch.cuda.synchronize(there)


_NO_SOURCE = (
    "The file of this model is not known here, so its base weights cannot be read again; "
    "keep the backups on the device or the CPU."
)
