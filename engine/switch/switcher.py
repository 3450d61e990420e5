"""Switch LoRAs on a loaded model in place: backup, merge, restore; the base stays exact."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import nn

from engine.embeddings.bundled import BundledEmbedding, bundled_embeddings
from engine.errors import EngineError, SwitchError
from engine.host_memory import is_out_of_memory
from engine.lora.cache import LoraCache
from engine.lora.families import Adapter
from engine.lora.file import FileStamp, LoraFile
from engine.lora.targets import TEXT_ENCODERS, TargetTable
from engine.refs import LoraRef
from engine.reports import BackupChoice, LoraReport, StateName, SwitchReport, Tier, VerifyReport
from engine.switch.backup import Backups, BaseSource
from engine.switch.fingerprint import fingerprint
from engine.switch.fit import fit, refuse_wrong_base
from engine.switch.merge import exact_products, merge_weight
from engine.switch.offload import ReachableWeights
from engine.switch.plan import Terms, WeightName, combine, refuse_strange_strengths, resolved
from engine.switch.tier import choose_tier, require_memory

Fit = tuple[Mapping[WeightName, Adapter], LoraReport]
Fitted = tuple[LoraRef, LoraFile, Mapping[WeightName, Adapter]]
Identities = dict[WeightName, tuple[tuple[FileStamp, float], ...]]


class LoraSwitcher:
    """Applies stacks of LoRAs to SDXL's UNet and text encoders, and takes them off again exactly.

    Any diffusers/transformers modules of SDXL's structure will do, of any size and dtype. The
    weights must be the base model's when the switcher is made: their fingerprints are taken then.

    `backup` says where the base weights of changed tensors are kept: `device` (fast), `cpu` (saves
    GPU memory), `file` (no memory at all: they are read again from the model's file by `source`)
    or `auto` (by free memory). `idle_backup_bytes` bounds copies that no live LoRA needs, which
    spare the next switch a copy.
    """

    def __init__(
        self,
        unet: nn.Module,
        text_encoder: nn.Module | None = None,
        text_encoder_2: nn.Module | None = None,
        backup: BackupChoice = "auto",
        cache: LoraCache | None = None,
        source: BaseSource | None = None,
        idle_backup_bytes: int = 0,
    ) -> None:
        given = {"unet": unet, "text_encoder": text_encoder, "text_encoder_2": text_encoder_2}
        present = {part: module for part, module in given.items() if module is not None}
        self._reachable = ReachableWeights(present)
        self._reachable.require()
        # torch.compile(module) wraps the module, whose names of weights would get a prefix.
        self._parts = {part: getattr(m, "_orig_mod", m) for part, m in present.items()}
        self._table = TargetTable(self._parts)
        self._cache = cache or LoraCache()
        tier = choose_tier(backup, self._parts, has_source=source is not None)
        self._backups = Backups(tier, source, idle_backup_bytes)
        self._proven: set[WeightName] = set()
        self._proven_version: object = None
        self._fits: WeakKeyDictionary[LoraFile, Fit] = WeakKeyDictionary()
        self._stack: tuple[LoraRef, ...] = ()
        self._embeddings: tuple[BundledEmbedding, ...] = ()
        self._live: Identities = {}
        self._known = True
        self._fingerprints = {name: fingerprint(p) for name, p in self._parameters()}

    @property
    def stack(self) -> tuple[LoraRef, ...]:
        """The LoRAs that are live; empty for the base, and while that is unknown."""
        return self._stack if self._known else ()

    @property
    def embeddings(self) -> tuple[BundledEmbedding, ...]:
        """The textual inversions bundled with the LoRAs that are live."""
        return self._embeddings if self._known else ()

    @property
    def state(self) -> StateName:
        """`base`, `stack`, or `recovering` while the weights are being written or are unknown."""
        if not self._known:
            return "recovering"
        return "stack" if self._stack else "base"

    @property
    def tier(self) -> Tier:
        """Where backups are kept."""
        return self._backups.tier

    @property
    def backup_bytes(self) -> int:
        """Bytes of backups held."""
        return self._backups.bytes

    @property
    def cache_bytes(self) -> int:
        """Bytes of LoRA files held in host memory."""
        return self._cache.bytes

    def apply(
        self, stack: Sequence[LoraRef], cancelled: Callable[[], bool] = lambda: False
    ) -> SwitchReport:
        """Make `stack` the live one; an empty stack is the base, bit for bit.

        Everything is checked before the first write: a refusal (`LoraRefusedError`,
        `FileFormatError`) leaves the model as it was. An error, a cancel or a lack of memory after
        the first write ends in the exact base (`SwitchError`; a `KeyboardInterrupt` passes on).
        """
        self._reachable.require()
        if not self._known:
            self._recover()
        clock = _Clock()
        fitted, reports = self._fit(stack, clock)
        terms = combine(fitted)
        wanted: Identities = {
            name: tuple(term.identity for term in parts) for name, parts in terms.items()
        }
        changed = [name for name in wanted if wanted[name] != self._live.get(name)]
        leaving = [name for name in self._live if name not in wanted]
        with clock.phase("backup"):
            self._backup(changed)
            version = self._prove_source((*changed, *leaving))
        with clock.phase("merge"), exact_products(), self._writing():
            self._write(changed, leaving, terms, cancelled)
            if self.tier == "file" and self._backups.source_version() != version:
                raise SwitchError(
                    "The model's file was written to during the switch; the base model is live."
                )
            # Inside: what is live is known the moment it is, whatever interrupts next.
            self._live, self._stack = wanted, tuple(stack)
            self._embeddings = tuple(e for _, file, _ in fitted for e in bundled_embeddings(file))
        self._backups.release(name for name in self._backups.names() if name not in wanted)
        return SwitchReport(
            stack=self._stack,
            loras=reports,
            merged=len(changed),
            restored=len(leaving),
            kept=len(wanted) - len(changed),
            bytes_written=sum(self._find(n).nbytes for n in (*changed, *leaving)),
            backup_bytes=self._backups.bytes,
            tier=self._backups.tier,
            text_encoders_changed=any(n.part in TEXT_ENCODERS for n in (*changed, *leaving)),
            milliseconds=clock.milliseconds(),
        )

    def backup_weights(self, stack: Sequence[LoraRef]) -> None:
        """Back up the base weights that `stack` would change, ahead of applying it.

        The first of sd-scripts' three steps; `apply` does it too. Raises what `apply` would.
        """
        self._reachable.require()
        fitted, _ = self._fit(stack, _Clock())
        self._backup(list(combine(fitted)))

    def pre_calculation(self, stack: Sequence[LoraRef]) -> SwitchReport:
        """Merge `stack` into the weights: sd-scripts' name for `apply`."""
        return self.apply(stack)

    def restore_weights(self) -> SwitchReport:
        """Bring the base back bit for bit: sd-scripts' name for `apply([])`."""
        return self.apply([])

    def verify(self) -> VerifyReport:
        """Compare the base with its fingerprints: backups of changed weights, all others live."""
        self._reachable.require()
        different, weights = [], 0
        for name, live in self._parameters():
            weights += live.numel()
            copies = [self._backups.get(name)] if name in self._backups else []
            if name not in self._live:
                copies.append(live)
            if any(fingerprint(copy) != self._fingerprints[name] for copy in copies):
                different.append(str(name))
        return VerifyReport(len(self._fingerprints), tuple(different), weights)

    def set_backup(self, tier: Tier) -> None:
        """Move the backups; the live weights do not change.

        Raises `SwitchError` when the other memory is too small, or when the model's file does not
        hold the base any more; the backups then stay.
        """
        self._reachable.require()
        needed = self._backups.names()
        self._prove_source(needed, tier)
        if tier != self.tier:
            self._require_memory(tier, needed)
        try:
            self._backups.move(tier, self._device)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise SwitchError(
                "The backups do not fit there beside the model; they stay where they are."
            ) from error
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def prefetch(self, ref: LoraRef) -> None:
        """Read a LoRA into host memory ahead of a switch; raises what `apply` would.

        A file that would fill the cache alone is left for the switch itself.
        """
        opened = self._cache.open(resolved(ref))
        refuse_wrong_base(opened)
        if opened.header.file_size <= self._cache.limit // 4:
            self._cache.read(opened)

    def _fit(
        self, stack: Sequence[LoraRef], clock: _Clock
    ) -> tuple[list[Fitted], tuple[LoraReport, ...]]:
        """Check every LoRA by its header first, then read those that all fit."""
        with clock.phase("plan"):
            for ref in stack:
                refuse_strange_strengths(ref)
            opened = []
            for ref in stack:
                with _blaming(ref):
                    file = self._cache.open(resolved(ref))
                    refuse_wrong_base(file)
                    if not file.bytes:
                        self._fit_file(file)
                    opened.append(file)
        fitted: list[Fitted] = []
        reports = []
        with clock.phase("read"):
            for ref, header in zip(stack, opened, strict=True):
                with _blaming(ref):
                    file = self._cache.read(header)
                    adapters, report = self._fit_file(file)
                fitted.append((ref, file, adapters))
                reports.append(report)
        return fitted, tuple(reports)

    def _fit_file(self, file: LoraFile) -> Fit:
        """How a file fits; worked out once as long as the cache holds it."""
        if file not in self._fits:
            self._fits[file] = fit(file, self._table, self._parts)
        return self._fits[file]

    def _backup(self, changed: Sequence[WeightName]) -> None:
        new = [name for name in changed if name not in self._backups]
        self._prove_source(new)
        self._require_memory(self.tier, new)
        try:
            for name in changed:
                self._backups.save(name, self._find(name))
        except BaseException as error:
            # Nothing was written yet: the former stack stays live.
            self._backups.forget(new)
            if isinstance(error, EngineError) or not isinstance(error, Exception):
                raise
            raise SwitchError(
                f"The base weights could not be backed up ({_reason(error)}); nothing was changed."
            ) from error

    def _require_memory(self, tier: Tier, names: Sequence[WeightName]) -> None:
        """Raise `SwitchError` unless backups of these weights fit, if need be without idle ones."""
        needed = sum(self._find(name).nbytes for name in names)
        try:
            require_memory(tier, self._device, needed)
        except SwitchError:
            self._backups.forget_idle()
            require_memory(tier, self._device, needed)

    def _prove_source(self, names: Sequence[WeightName], tier: Tier | None = None) -> object:
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

    def _write(
        self,
        changed: Sequence[WeightName],
        leaving: Sequence[WeightName],
        terms: Terms,
        cancelled: Callable[[], bool],
    ) -> None:
        for name in leaving:
            self._find(name).copy_(self._backups.get(name))
        for name in changed:
            if cancelled():
                raise SwitchError("The switch was cancelled; the base model is live.")
            merge_weight(self._find(name), self._backups.get(name), terms[name])
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Mark the weights unknown while they are written; go back to the base on any fault."""
        self._known = False
        try:
            yield
        except BaseException as error:
            # The failed merge's temporaries would take the memory that the way back needs.
            traceback.clear_frames(error.__traceback__)
            self._recover()
            if isinstance(error, EngineError) or not isinstance(error, Exception):
                raise
            raise SwitchError(
                f"The switch failed and the base model is live again: {_reason(error)}."
            ) from error
        self._known = True

    def _recover(self) -> None:
        """Copy every backup back and check it against its fingerprint."""
        names = self._backups.names()
        try:
            for name in names:
                self._find(name).copy_(self._backups.get(name))
            damaged = [n for n in names if fingerprint(self._find(n)) != self._fingerprints[n]]
        except Exception as error:
            raise SwitchError(
                f"The switch failed and the base could not be brought back yet ({error}); "
                "go back to the base once more, or load the model again."
            ) from error
        if damaged:
            raise SwitchError(
                f"{len(damaged)} weights could not be brought back (such as {damaged[0]}); "
                "load the model again."
            )
        self._backups.release(names)
        self._live, self._stack, self._embeddings = {}, (), ()
        self._known = True

    @property
    def _device(self) -> torch.device:
        return next(self._parts["unet"].parameters()).device

    def _find(self, name: WeightName) -> torch.Tensor:
        return name.find(self._parts)

    def _parameters(self) -> Iterator[tuple[WeightName, torch.Tensor]]:
        for part, module in self._parts.items():
            for name, parameter in module.named_parameters():
                path, _, kind = name.rpartition(".")
                yield WeightName(part, path, kind), parameter.data


@contextmanager
def _blaming(ref: LoraRef) -> Iterator[None]:
    """Let an error about a member of the stack say whose fault it is."""
    try:
        yield
    except EngineError as error:
        error.path = Path(ref.path)
        raise


def _reason(error: Exception) -> str:
    if is_out_of_memory(error):
        return "there was not enough memory"
    return str(error) or type(error).__name__


class _Clock:
    """Milliseconds by phase, in the order in which the phases began."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self._seconds[name] = self._seconds.get(name, 0.0) + elapsed

    def milliseconds(self) -> tuple[tuple[str, float], ...]:
        return tuple((name, 1000 * seconds) for name, seconds in self._seconds.items())
