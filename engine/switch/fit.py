"""How one LoRA file fits the model: which weights it changes, and what is left over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import nn

from engine.errors import LoraRefusedError
from engine.files.header import TensorInfo
from engine.lora.families import (
    BIAS_ROLES,
    Adapter,
    LowRank,
    Reads,
    ShapeMismatchError,
    Tensors,
    build_bias,
    build_weight,
    damage,
)
from engine.lora.families.ia3 import BiasIA3
from engine.lora.families.sum import Sum
from engine.lora.file import LoraFile
from engine.lora.key_names import outermost
from engine.lora.targets import Target, TargetTable
from engine.protocol.reports import LoraReport, PartReport
from engine.switch.plan import WeightName

DENSE_COPIES = 5
"""Float32 copies of a weight that a dense family takes: base, sum, delta, and two on the way."""


SMALL_BYTES = 1 << 16
"""Tensors up to here are read with the others of their module, whether they are used or not."""


def refuse_wrong_base(file: LoraFile) -> None:
    """Raise `LoraRefusedError` when the header shows that the LoRA is for another base model."""
    base = file.base
    if base.name not in ("", "SDXL"):
        raise LoraRefusedError(
            f"{file.path.name}: this LoRA is for {base.name}, the loaded model is SDXL "
            f"({base.evidence})."
        )


class Match(NamedTuple):
    """What a module of the file changes: the shapes of the model's weights by name."""

    weight: torch.Size
    """Of the module's weight, from which the family is told; not always one that changes."""
    changed: dict[WeightName, torch.Size]


class Adapters(dict[WeightName, Adapter]):
    """A LoRA's adapters by the weights they change.

    `modules` are those of the file they are built of, and `tensors` all that is needed of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.modules: dict[str, Match] = {}
        self.tensors: frozenset[TensorInfo] = frozenset()
        self.zeros: tuple[str, ...] = ()
        """Modules whose values, once they are read, are found to change nothing."""

    def add(self, name: WeightName, adapter: Adapter) -> None:
        """Put an adapter to those of a weight."""
        first = self.get(name)
        self[name] = adapter if first is None else Sum((first, adapter))

    def with_values(self, file: LoraFile) -> Adapters:
        """The same adapters of the same file when its values have been read.

        Raises `LoraRefusedError` where a value shows that one does not fit.
        """
        read = Adapters()
        read.modules, read.tensors = self.modules, self.tensors
        zeros = list[str]()
        for module, match in self.modules.items():
            built = _build(file.modules[module], match.weight)
            for name, shape in match.changed.items():
                adapter = built[name.kind]
                try:
                    adapter.check(shape)
                except ShapeMismatchError as error:
                    raise LoraRefusedError(
                        f"{file.path.name}: does not fit the model; {module[:90]} is {error}."
                    ) from error
                read.add(name, adapter)
            if all(built[name.kind].is_zero for name in match.changed):
                zeros.append(module)
        read.zeros = tuple(zeros)
        return read


def fit(
    file: LoraFile, table: TargetTable, parts: Mapping[str, nn.Module]
) -> tuple[Adapters, LoraReport]:
    """Find the weights a LoRA changes and build its adapters for them.

    A file opened by its header will do; `Adapters.with_values` follows when its values are read.
    Raises `LoraRefusedError` when nothing matches or a matched weight has another shape.
    """
    fitting = _Fitting(file)
    for name in file.modules:
        target = table.find(name)
        if target is None:
            fitting.unmatched.append(name)
        else:
            fitting.add(name, target, parts[target.part].get_submodule(target.path))
    fitting.refuse_misfits()
    fitting.adapters.tensors = frozenset(fitting.needed)
    return fitting.adapters, fitting.report()


def _build(tensors: Tensors, shape: torch.Size) -> dict[str, Adapter]:
    """A module's adapters for its weight, of `shape`, and its bias, where it has them."""
    built = {"weight": build_weight(tensors, shape), "bias": build_bias(tensors, shape)}
    return {kind: adapter for kind, adapter in built.items() if adapter is not None}


@dataclass
class _Fitting:
    """The modules of one file, sorted one by one."""

    file: LoraFile
    adapters: Adapters = field(default_factory=Adapters)
    families: Counter[str] = field(default_factory=Counter)
    modules: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    scratch: int = 0
    unmatched: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    biases_alone: list[str] = field(default_factory=list)
    dropped_biases: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)
    needed: set[TensorInfo] = field(default_factory=set)

    def add(self, name: str, target: Target, module: nn.Module) -> None:
        """Build a module's adapters for its weight and bias, or note why there are none."""
        if words := damage(self.file.modules[name]):
            self.misfits.append(f"{name[:90]} is damaged: {words}")
            return
        if self.file.groups[name].is_empty:
            self.empty.append(name)
            return
        tensors = Reads(self.file.modules[name])
        weight = module.get_parameter("weight")
        if not weight.is_floating_point() or weight.itemsize < 2:
            kind = str(weight.dtype).removeprefix("torch.")
            self.misfits.append(
                f"{name[:90]} is made for a weight that the model has in {kind}, into which "
                "nothing is merged; load the model in float16, bfloat16 or float32"
            )
            return
        adapters = _build(tensors, weight.shape)
        if "bias" in adapters and not isinstance(getattr(module, "bias", None), nn.Parameter):
            # One that only scales the bias has nothing to change.
            if not isinstance(adapters.pop("bias"), BiasIA3):
                (self.dropped_biases if adapters else self.biases_alone).append(name)
            if not adapters:
                return
        named = {WeightName(target.part, target.path, kind): a for kind, a in adapters.items()}
        # The same weight under two names: which one was meant cannot be told.
        if not named or (named.keys() & self.adapters.keys() and not self._is_nested(name, named)):
            (self.twice if named else self.unsupported).append(name)
            return
        match = Match(weight.shape, {})
        for weight_name, adapter in named.items():
            parameter = module.get_parameter(weight_name.kind)
            try:
                adapter.check(parameter.shape)
            except ShapeMismatchError as error:
                self.misfits.append(f"{name[:90]} is {error}")
                return
            match.changed[weight_name] = parameter.shape
            self.bytes[target.part] += parameter.nbytes
            self.scratch = max(self.scratch, scratch_bytes(adapter, parameter.shape))
        self.adapters.modules[name] = match
        self.families[self.file.groups[name].family] += 1
        self.modules[target.part] += 1
        for weight_name, adapter in named.items():
            self.adapters.add(weight_name, adapter)
        unused = {*tensors.left_over, *(() if "bias" in adapters else BIAS_ROLES)}
        self.needed.update(
            info
            for role, info in self.file.groups[name].tensors.items()
            if role not in unused or info.nbytes <= SMALL_BYTES
        )
        keys = self.file.groups[name].keys
        self.left_over += [keys[role] for role in tensors.left_over if role in keys]

    def _is_nested(self, name: str, adapters: Mapping[WeightName, Adapter]) -> bool:
        """Whether PEFT had one adapter inside another, so that both change the same weight.

        The outer one would see what the inner has made of the weight: it may only be added to it
        where neither looks.
        """
        same = (*adapters.values(), *(self.adapters[n] for n in adapters if n in self.adapters))
        names = map(outermost, self.adapters.modules)
        return outermost(name) in names and all(adapter.is_additive for adapter in same)

    def refuse_misfits(self) -> None:
        """Raise `LoraRefusedError` when a shape does not fit, or nothing matched at all."""
        file_name, total = self.file.path.name, len(self.file.modules)
        if self.misfits:
            others = len(self.misfits) - 1
            more = f" ({others:,} more do not fit either)" if others else ""
            raise LoraRefusedError(f"{file_name}: does not fit the model; {self.misfits[0]}{more}.")
        if len(self.empty) == total:
            raise LoraRefusedError(
                f"{file_name}: all of its {total:,} modules have rank 0 and would change nothing."
            )
        if not self.adapters:
            missed = self.unmatched or self.unsupported or self.biases_alone or self.empty
            example = missed[0]
            kind = "" if self.unmatched or not self.unsupported else self._what_is_there(example)
            raise LoraRefusedError(
                f"{file_name}: none of its {total} modules fit the model (such as {example[:90]}"
                f"{kind})."
            )

    def _what_is_there(self, module: str) -> str:
        """The tensors of a module that form no adapter, so that a missing one is seen."""
        keys = self.file.groups[module].keys.values()
        endings = ", ".join(sorted(key[len(module) :][:40] for key in keys)[:6])
        return f", incomplete or not supported: it has {endings} alone"

    def report(self) -> LoraReport:
        """What there is to say of the file before anything is touched."""
        base = self.file.base
        return LoraReport(
            name=self.file.path.stem,
            families=tuple(self.families.most_common()),
            matched=self.families.total(),
            unmatched=tuple(self.unmatched),
            unsupported=tuple(self.unsupported),
            twice=tuple(self.twice),
            biases_alone=tuple(self.biases_alone),
            empty=tuple(self.empty),
            base_model=base.name,
            base_evidence=base.evidence,
            parts=tuple(PartReport(p, n, self.bytes[p]) for p, n in self.modules.items()),
            unknown_keys=self.file.unknown,
            embeddings=tuple(self.file.embeddings),
            dropped_biases=tuple(self.dropped_biases),
            left_over=tuple(self.left_over),
            remarks=self.file.remarks,
            scratch_bytes=self.scratch,
        )


def scratch_bytes(adapter: Adapter, shape: torch.Size) -> int:
    """Bytes of float32 at work while one weight is merged, at most about.

    A low-rank adapter takes its factors and the weight, which a CPU goes through in blocks.
    """
    if isinstance(adapter, LowRank):
        return 4 * (adapter.up.numel() + adapter.down.numel() + shape.numel())
    return 4 * DENSE_COPIES * shape.numel()
