"""Switch LoRAs on a loaded model in place: backup, merge, restore; the base stays exact."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import nn

from engine.embeddings.bundled import BundledEmbedding, bundled_embeddings
from engine.errors import EngineError, SwitchError
from engine.lora.cache import LoraCache
from engine.lora.families import Adapter
from engine.lora.file import FileStamp, LoraFile
from engine.lora.on_device import DeviceLoras
from engine.lora.targets import TEXT_ENCODERS, TargetTable
from engine.refs import LoraRef
from engine.reports import BackupChoice, LoraReport, StateName, SwitchReport, Tier, VerifyReport
from engine.switch.backup import BaseSource
from engine.switch.base import BaseModel, reason
from engine.switch.fit import fit, refuse_wrong_base
from engine.switch.merge import Merge, merge
from engine.switch.offload import ReachableWeights
from engine.switch.plan import Terms, WeightName, combine, refuse_strange_strengths
from engine.switch.tier import choose_tier, lora_bytes

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
        tier = choose_tier(backup, self._parts, has_source=source is not None)
        self._base = BaseModel(self._parts, tier, source, idle_backup_bytes)
        self._cache = cache or LoraCache(pinned=self._base.device.type == "cuda")
        self._on_device: DeviceLoras | None = None
        self._fits: WeakKeyDictionary[LoraFile, Fit] = WeakKeyDictionary()
        self._stack: tuple[LoraRef, ...] = ()
        self._embeddings: tuple[BundledEmbedding, ...] = ()
        self._live: Identities = {}
        self._known = True

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
        return self._base.tier

    @property
    def backup_bytes(self) -> int:
        """Bytes of backups held."""
        return self._base.backup_bytes

    @property
    def cache_bytes(self) -> int:
        """Bytes of LoRA files held in host memory."""
        return self._cache.bytes

    @property
    def device_cache_bytes(self) -> int:
        """Bytes of LoRA files that were sent to the GPU and are held there."""
        return self._on_device.bytes if self._on_device else 0

    def apply(
        self, stack: Sequence[LoraRef], cancelled: Callable[[], bool] = lambda: False
    ) -> SwitchReport:
        """Make `stack` the live one; an empty stack is the base, bit for bit.

        Everything is checked before the first write: a refusal (`LoraRefusedError`,
        `FileFormatError`) leaves the model as it was. An error, a cancel or a lack of memory after
        the first write ends in the exact base (`SwitchError`; a `KeyboardInterrupt` passes on). A
        cancel while files are still read raises `CancelledError`, and the former stack stays.
        """
        self._reachable.require()
        if not self._known:
            self._recover()
        clock = _Clock()
        fitted, reports, found = self._fit(stack, clock, cancelled)
        terms = combine(fitted)
        wanted: Identities = {
            name: tuple(term.identity for term in parts) for name, parts in terms.items()
        }
        changed = [name for name in wanted if wanted[name] != self._live.get(name)]
        leaving = [name for name in self._live if name not in wanted]
        with clock.phase("backup"):
            self._base.back_up(changed)
            version = self._base.prove_source((*changed, *leaving))
        with clock.phase("merge"), self._writing():
            self._write(changed, leaving, terms, cancelled)
            if self._base.source_version() != version:
                raise SwitchError(
                    "The model's file was written to during the switch; the base model is live."
                )
            # Inside: what is live is known the moment it is, whatever interrupts next.
            self._live, self._stack = wanted, tuple(stack)
            self._embeddings = tuple(e for _, file, _ in fitted for e in bundled_embeddings(file))
        self._base.release(all_but=wanted)
        return SwitchReport(
            stack=self._stack,
            loras=reports,
            found_in_memory=found,
            merged=len(changed),
            restored=len(leaving),
            kept=len(wanted) - len(changed),
            bytes_written=self._base.bytes((*changed, *leaving)),
            backup_bytes=self._base.backup_bytes,
            tier=self._base.tier,
            text_encoders_changed=any(n.part in TEXT_ENCODERS for n in (*changed, *leaving)),
            milliseconds=clock.milliseconds(),
        )

    def backup_weights(self, stack: Sequence[LoraRef]) -> None:
        """Back up the base weights that `stack` would change, ahead of applying it.

        The first of sd-scripts' three steps; `apply` does it too. Raises what `apply` would.
        """
        self._reachable.require()
        fitted, _, _ = self._fit(stack, _Clock())
        self._base.back_up(combine(fitted))

    def pre_calculation(self, stack: Sequence[LoraRef]) -> SwitchReport:
        """Merge `stack` into the weights: sd-scripts' name for `apply`."""
        return self.apply(stack)

    def restore_weights(self) -> SwitchReport:
        """Bring the base back bit for bit: sd-scripts' name for `apply([])`."""
        return self.apply([])

    def verify(self) -> VerifyReport:
        """Compare the base with its fingerprints: backups of changed weights, all others live."""
        self._reachable.require()
        return self._base.verify(self._live)

    def set_backup(self, tier: Tier) -> None:
        """Move the backups; the live weights do not change.

        Raises `SwitchError` when the other memory is too small, or when the model's file does not
        hold the base any more; the backups then stay.
        """
        self._reachable.require()
        self._base.move(tier)

    def free_device_cache(self) -> None:
        """Give up the LoRA files held on the GPU; a switch to one of them sends it again."""
        self._on_device = None

    def prefetch(self, ref: LoraRef, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Read a LoRA ahead of a switch, and send it to the GPU; raises what `apply` would.

        A file that would fill the cache alone is left for the switch itself.
        """
        opened = self._cache.open(ref.path)
        refuse_wrong_base(opened)
        if opened.header.file_size <= self._cache.limit // 4:
            file = self._cache.read(opened, cancelled)
            self._where_the_weights_are(file, self._fit_file(file)[0])

    def _fit(
        self,
        stack: Sequence[LoraRef],
        clock: _Clock,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> tuple[list[Fitted], tuple[LoraReport, ...], int]:
        """Check every LoRA by its header first, then read those that all fit.

        Gives them, their reports, and how many needed no reading.
        """
        with clock.phase("plan"):
            for ref in stack:
                refuse_strange_strengths(ref)
            opened = []
            for ref in stack:
                with _blaming(ref):
                    file = self._cache.open(ref.path)
                    refuse_wrong_base(file)
                    if not file.bytes:
                        self._fit_file(file)
                    opened.append(file)
        fitted: list[Fitted] = []
        reports = []
        with clock.phase("read"):
            for ref, header in zip(stack, opened, strict=True):
                with _blaming(ref):
                    file = self._cache.read(header, cancelled)
                    adapters, report = self._fit_file(file)
                fitted.append((ref, file, self._where_the_weights_are(file, adapters)))
                reports.append(report)
        return fitted, tuple(reports), sum(file.bytes > 0 for file in opened)

    def _fit_file(self, file: LoraFile) -> Fit:
        """How a file fits; worked out once as long as the cache holds it."""
        if file not in self._fits:
            self._fits[file] = fit(file, self._table, self._parts)
        return self._fits[file]

    def _where_the_weights_are(
        self, file: LoraFile, adapters: Mapping[WeightName, Adapter]
    ) -> Mapping[WeightName, Adapter]:
        """A file's adapters with their tensors on the GPU, if there is one and it has room.

        Others stay in main memory, from where they are sent weight by weight.
        """
        device = self._base.device
        if device.type != "cuda":
            return adapters
        if self._on_device is None or self._on_device.device != device:
            self._on_device = DeviceLoras(device, lora_bytes(device))
        if file.bytes > self._on_device.limit:
            return adapters
        try:
            return self._on_device.adapters(file, adapters)
        except torch.OutOfMemoryError:
            self._on_device = None
            torch.cuda.empty_cache()
            return adapters

    def _write(
        self,
        changed: Sequence[WeightName],
        leaving: Sequence[WeightName],
        terms: Terms,
        cancelled: Callable[[], bool],
    ) -> None:
        """Restore what no LoRA changes any more, and merge the rest, each weight from W0."""
        self._base.restore(leaving)

        def merges() -> Iterator[Merge]:
            for name in changed:
                if cancelled():
                    raise SwitchError("The switch was cancelled; the base model is live.")
                live = self._base.live(name)
                # What no LoRA has changed is W0 itself.
                base = self._base.for_merging(name) if name in self._live else live
                yield Merge(live, base, terms[name])

        merge(merges())
        for device in self._base.gpus:
            torch.cuda.synchronize(device)

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
                f"The switch failed and the base model is live again: {reason(error)}."
            ) from error
        self._known = True

    def _recover(self) -> None:
        """Copy every backup back and check it against its fingerprint."""
        try:
            damaged = self._base.restore_all()
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
        self._live, self._stack, self._embeddings = {}, (), ()
        self._known = True


@contextmanager
def _blaming(ref: LoraRef) -> Iterator[None]:
    """Let an error about a member of the stack say whose fault it is."""
    try:
        yield
    except EngineError as error:
        error.path = ref.path
        raise


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
