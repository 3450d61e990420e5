"""The LoRA files of one model: checked against it, read, and sent to where its weights are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from msgspec import structs
from torch import nn

from engine.embeddings.bundled import BundledEmbedding, bundled_embeddings
from engine.errors import EngineError
from engine.lora.cache import LoraCache
from engine.lora.families import Adapter
from engine.lora.file import LoraFile, refuse_non_finite
from engine.lora.finite import are_finite
from engine.lora.on_device import DeviceLoras
from engine.lora.targets import TargetTable
from engine.protocol.refs import LoraRef
from engine.protocol.reports import LoraReport
from engine.switch.fit import Adapters, fit, refuse_wrong_base
from engine.switch.phases import Phases
from engine.switch.plan import WeightName, refuse_strange_strengths
from engine.switch.plans import Member, Plans, StackPlan
from engine.switch.ready import Find
from engine.switch.tier import lora_bytes
from engine.switch.visits import home_of

Cancelled = Callable[[], bool]
Fit = tuple[Adapters, LoraReport]


@dataclass
class FittedStack:
    """A stack that fits the model, with its values read."""

    members: list[Member] = field(default_factory=list)
    reports: list[LoraReport] = field(default_factory=list)
    found_in_memory: int = 0
    """How many members needed no reading."""


class ModelLoras:
    """Fits LoRA files to one model and keeps what was worked out as long as the cache holds them.

    `device` tells where the weights are. `prefetch` may run beside anything else; what sends
    adapters to a GPU is for one thread at a time.
    """

    def __init__(
        self, parts: Mapping[str, nn.Module], cache: LoraCache, device: Callable[[], torch.device]
    ) -> None:
        self._parts = parts
        self._table = TargetTable(parts)
        self._cache = cache
        self._device = device
        self._on_device: DeviceLoras | None = None
        self._plans = Plans()
        self._fits: WeakKeyDictionary[LoraFile, Fit] = WeakKeyDictionary()

    @property
    def cache_bytes(self) -> int:
        """Bytes of LoRA files held in host memory."""
        return self._cache.bytes

    @property
    def device_bytes(self) -> int:
        """Bytes of LoRA files that were sent to the GPU and are held there."""
        held = self._on_device
        return held.bytes if held is not None else 0

    def free_device(self) -> None:
        """Give up the LoRA files held on the GPU."""
        self._on_device = None
        self._plans.clear()

    def plan(self, members: Sequence[Member], live: Find) -> StackPlan:
        """The plan of a stack: kept where all its adapters are held on the GPU."""
        held = self._on_device
        if held is None or not all(held.holds(file, adapters) for _, file, adapters in members):
            return StackPlan.of(members)
        return self._plans.of(members, live, held.device)

    def fit(self, stack: Sequence[LoraRef], phases: Phases, cancelled: Cancelled) -> FittedStack:
        """Check every LoRA by its header first, then read those that all fit.

        An error names the member of the stack to blame.
        """
        with phases.phase("plan"):
            for ref in stack:
                refuse_strange_strengths(ref)
            opened: dict[Path, LoraFile] = {}
            for ref in stack:
                if ref.path not in opened:
                    with _blaming(ref):
                        opened[ref.path] = self._open(ref)
        fitted = FittedStack(found_in_memory=sum(opened[ref.path].bytes > 0 for ref in stack))
        with phases.phase("read"):
            for ref in stack:
                with _blaming(ref):
                    file, adapters, report = self._read(opened[ref.path], cancelled, self._check)
                fitted.members.append((ref, file, self.where_the_weights_are(file, adapters)))
                fitted.reports.append(report)
        return fitted

    def prefetch(self, ref: LoraRef, cancelled: Cancelled) -> tuple[LoraFile, Adapters] | None:
        """Read a LoRA ahead of a switch, unless it would fill the cache alone."""
        opened = self._open(ref)
        adapters, _ = self._fit_file(opened)
        if opened.used_bytes(adapters.tensors) > self._cache.limit // 4:
            return None
        file, adapters, _ = self._read(opened, cancelled)
        return file, adapters

    def embeddings(self, ref: LoraRef) -> tuple[BundledEmbedding, ...]:
        """The textual inversions in a LoRA's file, which is read like one to be merged."""
        with _blaming(ref):
            file, *_ = self._read(self._open(ref), lambda: False)
        return bundled_embeddings(file)

    def where_the_weights_are(
        self, file: LoraFile, adapters: Mapping[WeightName, Adapter]
    ) -> Mapping[WeightName, Adapter]:
        """A file's adapters with their tensors on the GPU, if there is one and it has room.

        Otherwise they stay in main memory, from where they are sent weight by weight; and so do
        those of weights that are not on the GPU themselves.
        """
        device = self._device()
        if not is_gpu(device):
            return adapters
        if self._on_device is None or self._on_device.device != device:
            self._plans.clear()
            self._on_device = DeviceLoras(device, lora_bytes(device), self._plans.clear)
        if file.bytes > self._on_device.limit:
            return adapters
        parts = {part for part, module in self._parts.items() if home_of(module) != device}
        elsewhere = {name for name in adapters if name.part in parts} if parts else ()
        try:
            return self._on_device.adapters(file, adapters, elsewhere)
        except torch.OutOfMemoryError:
            self.free_device()
            torch.cuda.empty_cache()
            return adapters

    def make_ready(self, member: Member, live: Find) -> None:
        """Make a switch to one LoRA ready, where its adapters are held on the GPU."""
        if self._on_device is not None:
            self.plan([member], live)

    def _open(self, ref: LoraRef) -> LoraFile:
        """Open a file, by its header or from the cache, that fits the model."""
        file = self._cache.open(ref.path)
        refuse_wrong_base(file)
        self._fit_file(file)
        return file

    def _fit_file(self, file: LoraFile) -> Fit:
        """How a file fits; worked out once."""
        found = self._fits.get(file)
        if found is None:
            found = self._fits[file] = fit(file, self._table, self._parts)
        return found

    def _check(self, file: LoraFile) -> None:
        """Raise `LoraRefusedError` where values are not finite, found by the GPU if there is one.

        It may be drawing while a file is read ahead, so that is for `fit` alone.
        """
        device = self._device()
        on_gpu = is_gpu(device) and file.bytes <= lora_bytes(device)
        if not on_gpu or not are_finite(file.values, device):
            refuse_non_finite(file)

    def _read(
        self,
        opened: LoraFile,
        cancelled: Cancelled,
        check: Callable[[LoraFile], None] = refuse_non_finite,
    ) -> tuple[LoraFile, Adapters, LoraReport]:
        """Read what the model uses of a file that fits."""
        adapters, report = self._fit_file(opened)
        file = self._cache.read(opened, adapters.tensors, cancelled, check)
        found = self._fits.get(file)
        if found is None:
            read = adapters.with_values(file)
            found = self._fits[file] = read, structs.replace(report, zeros=read.zeros)
        return file, *found


def is_gpu(device: torch.device) -> bool:
    """Whether a device has memory of its own, to which LoRAs are sent ahead."""
    return device.type == "cuda"


@contextmanager
def _blaming(ref: LoraRef) -> Iterator[None]:
    """Let an error about a member of the stack say whose fault it is."""
    try:
        yield
    except EngineError as error:
        error.path = ref.path
        raise
