"""The base model: its parameters by name, their fingerprints, and the backups of what changed."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping

import torch
from torch import nn

from engine.errors import EngineError, SwitchError
from engine.host_memory import is_out_of_memory
from engine.reports import Tier, VerifyReport
from engine.switch.backup import Backups, BaseSource
from engine.switch.fingerprint import fingerprint
from engine.switch.plan import WeightName
from engine.switch.tier import require_memory


class BaseModel:
    """Knows W0 of every parameter, and can prove it.

    `parts` must hold the base model's weights now: their fingerprints are taken here.
    """

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        tier: Tier,
        source: BaseSource | None,
        idle_limit: int,
    ) -> None:
        self._parts = parts
        # Offloading replaces tensors, but not the modules that own them.
        self._owners = {name: parts[name.part].get_submodule(name.path) for name in _names(parts)}
        self._bytes = {name: self.live(name).nbytes for name in self._owners}
        # Pages of a mapped file, which become memory of this process when they are written to.
        self._mapped = {
            name for name in self._owners if source and source.is_mapped(name.part, name.parameter)
        }
        self._backups = Backups(tier, source, idle_limit)
        self._proven: set[WeightName] = set()
        self._proven_version: object = None
        self._fingerprints = {name: fingerprint(self.live(name)) for name in self._owners}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self._parts["unet"].parameters()).device

    @property
    def gpus(self) -> set[torch.device]:
        """All CUDA devices that hold weights."""
        devices = {next(part.parameters()).device for part in self._parts.values()}
        return {device for device in devices if device.type == "cuda"}

    @property
    def tier(self) -> Tier:
        """Where backups are kept."""
        return self._backups.tier

    @property
    def backup_bytes(self) -> int:
        """Bytes of backups held."""
        return self._backups.bytes

    def live(self, name: WeightName) -> torch.Tensor:
        """A parameter as it is now; raises `KeyError` for one that the model does not have."""
        parameter = self._owners[name]._parameters[name.kind]
        assert parameter is not None
        return parameter.data

    def bytes(self, names: Iterable[WeightName]) -> int:
        """How many bytes these parameters have."""
        return sum(self._bytes[name] for name in names)

    def for_merging(self, name: WeightName) -> torch.Tensor:
        """W0 of a parameter that is backed up, on the device of its live weight.

        Where that takes a way over the bus or out of the file, it is the live weight, to which W0
        is written first. Raises `EngineError` when the file has changed.
        """
        live = self.live(name)
        if self.tier == "device" or (live.device.type == "cpu" and self.tier == "cpu"):
            return self._backups.get(name)
        self._backups.bring_back([name], self.live)
        return live

    def back_up(self, names: Iterable[WeightName]) -> None:
        """Keep W0 of parameters, of which those without a backup must not have been changed yet.

        Raises `SwitchError`, with nothing changed, when there is no room or the model's file holds
        something else.
        """
        names = tuple(names)
        # What is needed now is not to make room for what is new.
        self._backups.keep(names)
        new = [name for name in names if name not in self._backups]
        self.prove_source(new)
        self._require_memory(self.tier, new, self._mapped.intersection(names))
        try:
            self._backups.save({name: self.live(name) for name in new})
            self._mapped.difference_update(names)
        except BaseException as error:
            # Nothing was written yet: the former stack stays live.
            self._backups.forget(new)
            if isinstance(error, EngineError) or not isinstance(error, Exception):
                raise
            raise SwitchError(
                f"The base weights could not be backed up ({reason(error)}); nothing was changed."
            ) from error

    def restore(self, names: Iterable[WeightName]) -> None:
        """Copy W0 of parameters back into the model."""
        self._backups.bring_back(names, self.live)

    def release(self, *, all_but: Container[WeightName]) -> None:
        """Give up the backups of all other parameters."""
        self._backups.release(name for name in self._backups.names() if name not in all_but)

    def restore_all(self) -> list[WeightName]:
        """Copy every backup back and release it; gives the names of what is not W0 even then."""
        names = self._backups.names()
        self.restore(names)
        damaged = [n for n in names if fingerprint(self.live(n)) != self._fingerprints[n]]
        if not damaged:
            self._backups.release(names)
        return damaged

    def verify(self, changed: Container[WeightName]) -> VerifyReport:
        """Compare W0 with its fingerprints: backups, and live weights that no LoRA has changed."""
        different, weights = [], 0
        for name, expected in self._fingerprints.items():
            live = self.live(name)
            weights += live.numel()
            copies = [self._backups.get(name)] if name in self._backups else []
            if name not in changed:
                copies.append(live)
            if any(fingerprint(copy) != expected for copy in copies):
                different.append(str(name))
        return VerifyReport(len(self._fingerprints), tuple(different), weights)

    def move(self, tier: Tier) -> None:
        """Move the backups to another tier.

        Raises `SwitchError`, with the backups where they were, when it is too small for them or
        the model's file does not hold the base any more.
        """
        needed = self._backups.names()
        self.prove_source(needed, tier)
        if tier != self.tier:
            self._require_memory(tier, needed)
        try:
            self._backups.move(tier, self.device)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise SwitchError(
                "The backups do not fit there beside the model; they stay where they are."
            ) from error
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def prove_source(self, names: Iterable[WeightName], tier: Tier | None = None) -> object:
        """Make sure that the model's file holds these base weights, where it is their backup.

        `tier` is the one that they are to be moved to. Raises `SwitchError` when the file holds
        others. What is proven is not read again while the version that is returned is the same.
        """
        if "file" not in (self.tier, tier):
            return None
        version = self._backups.source_version()
        if version != self._proven_version:
            self._proven.clear()
            self._proven_version = version
        for name in names:
            if name in self._proven:
                continue
            if fingerprint(self._backups.read_source(name)) != self._fingerprints[name]:
                raise SwitchError(
                    f"The model's file does not hold the base weight {name} as it was loaded; "
                    "move the backups into memory before switching, or load the model anew."
                )
            self._proven.add(name)
        return version

    def source_version(self) -> object:
        """The version of the model's file; None where it is not the backup."""
        return self._backups.source_version() if self.tier == "file" else None

    def _require_memory(
        self, tier: Tier, new: Iterable[WeightName], written: Iterable[WeightName] = ()
    ) -> None:
        """Raise `SwitchError` unless new backups, and mapped weights once they are written, fit.

        If need be, copies that no live LoRA needs make room.
        """
        backups, copies = self.bytes(new), self.bytes(written)
        try:
            require_memory(tier, self.device, backups, copies)
        except SwitchError:
            self._backups.forget_idle()
            require_memory(tier, self.device, backups, copies)


def _names(parts: Mapping[str, nn.Module]) -> Iterator[WeightName]:
    for part, module in parts.items():
        for name, _ in module.named_parameters():
            path, _, kind = name.rpartition(".")
            yield WeightName(part, path, kind)


def reason(error: Exception) -> str:
    """Why something failed, for the end of a sentence."""
    if is_out_of_memory(error):
        return "there was not enough memory"
    return str(error) or type(error).__name__
