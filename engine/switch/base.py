"""The base model: its parameters by name, their fingerprints, and the backups of what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence

import torch
from torch import nn

from engine.errors import EngineError, SwitchError
from engine.host_memory import is_out_of_memory
from engine.pinned_memory import give_back_pinned
from engine.protocol.reports import Tier, VerifyReport
from engine.switch.backup import Backups, BaseSource, copy_all, is_beside
from engine.switch.fingerprint import fingerprint, fingerprints, joined
from engine.switch.mapped_files import MappedFiles
from engine.switch.own_memory import require_own_memory
from engine.switch.pages import FilePages
from engine.switch.plan import WeightName
from engine.switch.tier import idle_bytes, require_memory


class BaseModel:
    """Knows W0 of every parameter, and can prove it.

    `parts` must hold the base model's weights now: their fingerprints are taken here. Raises
    `EngineError` when they are pages of the model's file and that was written to since it was
    loaded.
    """

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        tier: Tier,
        source: BaseSource | None,
        idle_limit: int | None,
    ) -> None:
        self._parts = parts
        # Offloading replaces tensors, but not the modules that own them.
        self._owners = {name: parts[name.part].get_submodule(name.path) for name in _names(parts)}
        self._slots = {n: (owner._parameters, n.kind) for n, owner in self._owners.items()}
        require_own_memory((str(name), self.live(name)) for name in self._owners)
        self._bytes = {name: self.live(name).nbytes for name in self._owners}
        weights = self._all_live()
        self._pages = FilePages(source or MappedFiles(weights), weights)
        self._asked_idle_limit = idle_limit
        limit = self._idle_limit(tier)
        self._backups = Backups(tier, source, limit, idle_on_gpu=idle_limit is not None)
        self._proven: set[WeightName] = set()
        self._proven_version: object = None
        self._doubted: set[WeightName] = set()
        self._pages.require_whole()
        found = fingerprints(map(self.live, self._owners))
        self._fingerprints = dict(zip(self._owners, found, strict=True))
        self._pages.require_as_loaded()

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

    @property
    def backup_bytes_on_gpu(self) -> int:
        """Bytes of backups that lie beside weights on a GPU."""
        return self._backups.bytes_on_gpu

    @property
    def fingerprint(self) -> str:
        """One for W0 of all parameters."""
        marks = self._fingerprints.items()
        return joined((str(name), self.live(name), mark) for name, mark in marks)

    def live(self, name: WeightName) -> torch.Tensor:
        """A parameter as it is now; raises `KeyError` for one that the model does not have."""
        parameter = self._owners[name]._parameters[name.kind]
        assert parameter is not None
        return parameter.data

    def bytes(self, names: Iterable[WeightName]) -> int:
        """How many bytes these parameters have."""
        return sum(self._bytes[name] for name in names)

    @property
    def is_certain(self) -> bool:
        """Whether nothing speaks against what was written last; costs a look at the file's age.

        It is in doubt when weights were found to be others, or when the model's file was written to
        while its pages are weights.
        """
        return not self._doubted and self._pages.are_proven

    def for_merging(self, name: WeightName) -> torch.Tensor:
        """W0 of a parameter that is backed up, on the device of its live weight.

        Where that takes a way over the bus or out of the file, it is the live weight, to which W0
        is written first. Raises `EngineError` when the file has changed.
        """
        live = self.live(name)
        if self.tier != "file" and is_beside(copy := self._backups.get(name), live):
            return copy
        self._backups.bring_back([name], self.live)
        return live

    def all_for_merging(
        self, names: Sequence[WeightName], changed: Container[WeightName]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor | None]]:
        """The parameters, what each is computed from, and the copies of W0 that are to be written.

        `changed` are those that are not W0 now; see `for_merging`. Copies count from `fulfil` on.
        """
        slots = [self._slots[name] for name in names]
        lives: list[torch.Tensor] = [held[kind] for held, kind in slots]  # type: ignore[misc]
        if self.tier == "file":
            self.restore([name for name in names if name in changed])
            return lives, lives, []
        get, promised = self._backups.get, self._backups.promised
        copies = [promised.get(name) for name in names] if promised else []
        bases = [get(n) if n in changed else w for n, w in zip(names, lives, strict=True)]
        is_here = list(map(is_beside, bases, lives))
        if not all(is_here):
            self.restore([name for name, here in zip(names, is_here, strict=True) if not here])
            placed = zip(bases, lives, is_here, strict=True)
            bases = [base if here else live for base, live, here in placed]
        return lives, bases, copies

    def fulfil(self, *, by_copying: bool = False) -> None:
        """Count the copies that the merge was to write: it has, or they are copied here.

        The latter is for weights that were not written to.
        """
        promised = self._backups.promised
        if by_copying and promised:
            copy_all([*promised.values()], [self.live(name) for name in promised])
        self._backups.fulfil()

    def back_up(self, names: Iterable[WeightName], by_merge: Container[WeightName] = ()) -> None:
        """Keep W0 of parameters, of which those without a backup must not have been changed yet.

        Copies of those that are `by_merge` may be left to the merge: see `all_for_merging`. Raises
        `SwitchError`, with nothing changed, when there is no room or the model's file holds
        something else.
        """
        names = tuple(names)
        # What is needed now is not to make room for what is new.
        self._backups.keep(names)
        new = [name for name in names if name not in self._backups]
        self.prove_source(new)
        written = self._pages.unwritten(names, self.live)
        if new or written:
            self._require_memory(self.tier, new, written)
        try:
            self._backups.save({name: self.live(name) for name in new}, by_merge)
            self._pages.write(names)
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

    def release(self, *, all_but: Collection[WeightName]) -> None:
        """Give up the backups of all parameters but these, which have one."""
        needed = self._backups.names()
        # All that are wanted are backed up.
        if len(needed) > len(all_but):
            self._backups.release([name for name in needed if name not in all_but])

    def restore_all(self) -> list[WeightName]:
        """Copy every backup back and release it; gives the names of what is not W0 even then.

        What was copied is proven by its fingerprint, and so is what was in doubt, or what a merge
        that failed was to copy. Raises `EngineError` while it cannot be done, or the model's file
        is being written to.
        """
        in_file = self._require_pages()
        version = self._pages.version()
        names = self._backups.names()
        self.restore(names)
        doubted = {*names, *self._backups.promised, *self._doubted}
        if not self._pages.are_proven:
            doubted |= in_file
        wrong = self._differing((name, self.live(name)) for name in doubted)
        damaged = {name for name in wrong if not self._mend(name)}
        if self._pages.version() != version:
            raise SwitchError("the model's file is being written to")
        self._doubted = damaged
        if not damaged:
            self._pages.prove(version)
            self._backups.forget_promised()
            self._backups.release(names)
        return sorted(damaged)

    @property
    def why_damaged(self) -> str:
        """Why weights cannot be brought back, for the end of a sentence."""
        if self._pages.are_proven:
            return "they are not the base model's any more"
        return "the model's file, whose pages they are, was written to"

    def _require_pages(self) -> set[WeightName]:
        """The weights that lie in the model's file now; raises `EngineError` if some do not."""
        in_file = self._pages.among(self._all_live())
        if in_file:
            self._pages.require_whole()
        return in_file

    def _mend(self, name: WeightName) -> bool:
        """Write W0 from a copy that is still right, if there is one; True when there was."""
        promised = self._backups.promised.__getitem__
        for read in (promised, self._backups.get, self._backups.read_source):
            try:
                copy = read(name)
            except (EngineError, KeyError):
                # Not kept there, or not to be had.
                continue
            if self._is_base(name, copy):
                self.live(name).copy_(copy)
                self._backups.forget([name])
                return True
        return False

    def verify(self, changed: Container[WeightName]) -> VerifyReport:
        """Compare W0 with its fingerprints: backups, and live weights that no LoRA has changed.

        Live weights that differ are in doubt from then on, until `restore_all` finds them right.
        """
        lost = self._lost_pages()
        weights = sum(self.live(name).numel() for name in self._fingerprints)
        looked_at = (n for n in self._fingerprints if n not in lost and n not in changed)
        wrong = lost | self._differing((name, self.live(name)) for name in looked_at)
        self._doubted |= wrong
        wrong |= self._differing_backups()
        different = tuple(str(name) for name in self._fingerprints if name in wrong)
        return VerifyReport(len(self._fingerprints), different, weights)

    def _lost_pages(self) -> set[WeightName]:
        """The weights that must not be looked at, since their file has become too short."""
        try:
            self._require_pages()
        except EngineError:
            return self._pages.among(self._all_live())
        return set()

    def _differing_backups(self) -> set[WeightName]:
        """The weights whose backup is not W0; one that cannot be read is not."""
        unread: set[WeightName] = set()

        def backups() -> Iterator[tuple[WeightName, torch.Tensor]]:
            for name in self._fingerprints:
                if name in self._backups:
                    try:
                        yield name, self._backups.get(name)
                    except EngineError:
                        unread.add(name)

        return self._differing(backups()) | unread

    def _differing(self, found: Iterable[tuple[WeightName, torch.Tensor]]) -> set[WeightName]:
        """Of weights and what is said to be their W0, those that it is not."""
        names: list[WeightName] = []

        def tensors() -> Iterator[torch.Tensor]:
            for name, tensor in found:
                names.append(name)
                yield tensor

        found_now = fingerprints(tensors())
        pairs = zip(names, found_now, strict=True)
        return {name for name, value in pairs if value != self._fingerprints[name]}

    def _is_base(self, name: WeightName, tensor: torch.Tensor) -> bool:
        return fingerprint(tensor) == self._fingerprints[name]

    def _all_live(self) -> dict[WeightName, torch.Tensor]:
        return {name: self.live(name) for name in self._owners}

    def move(self, tier: Tier) -> None:
        """Move the backups to another tier.

        Raises `SwitchError`, with the backups where they were, when it is too small for them or
        the model's file does not hold the base any more.
        """
        needed = self._backups.names()
        version = self.prove_source(needed, tier)
        if tier != self.tier:
            self._require_memory(tier, needed)

        def check() -> None:
            if "file" in (self.tier, tier) and self._backups.source_version() != version:
                raise SwitchError(
                    "The model's file was written to while the backups were moved; they stay where "
                    "they are."
                )

        try:
            self._backups.move(tier, self.live, check)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise SwitchError(
                "The backups do not fit there beside the model; they stay where they are."
            ) from error
        self._backups.idle_limit = self._idle_limit(tier)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            give_back_pinned()

    def _idle_limit(self, tier: Tier) -> int:
        asked = self._asked_idle_limit
        return idle_bytes(tier, self.device) if asked is None else asked

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
            if not self._is_base(name, self._backups.read_source(name)):
                raise SwitchError(
                    f"The model's file does not hold the base weight {name} as it was loaded; "
                    "move the backups into memory before switching, or load the model anew."
                )
            self._proven.add(name)
        return version

    def require_same_file(self, version: object) -> None:
        """Raise `SwitchError` when the model's file was written to during a switch.

        `version` is what `prove_source` gave.
        """
        is_backup = self.tier == "file"
        if (is_backup and self._backups.source_version() != version) or not self._pages.are_proven:
            raise SwitchError(
                "The model's file was written to during the switch; the base model is live."
            )

    def _require_memory(
        self, tier: Tier, new: Iterable[WeightName], written: Iterable[WeightName] = ()
    ) -> None:
        """Raise `SwitchError` unless new backups, and mapped weights once they are written, fit.

        If need be, copies that no live LoRA needs make room.
        """
        backups: Counter[torch.device] = Counter()
        for name in new:
            backups[self.live(name).device] += self._bytes[name]
        copies = self.bytes(written)
        try:
            require_memory(tier, backups, copies)
        except SwitchError:
            self._backups.forget_idle()
            require_memory(tier, backups, copies)


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
