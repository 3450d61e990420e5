"""Switch LoRAs on a loaded model in place: backup, merge, restore; the base stays exact."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field

import torch
from torch import nn

from engine.embeddings.bundled import BundledEmbedding, bundled_embeddings
from engine.errors import EngineError, SwitchError
from engine.lora.cache import LoraCache
from engine.lora.families import Adapter
from engine.lora.file import FileStamp, LoraFile
from engine.lora.targets import TEXT_ENCODERS
from engine.protocol.refs import LoraRef
from engine.protocol.reports import BackupChoice, StateName, SwitchReport, Tier, VerifyReport
from engine.switch.backup import BaseSource
from engine.switch.base import BaseModel, reason
from engine.switch.claims import Claim
from engine.switch.loras import Cancelled, ModelLoras
from engine.switch.merge import Done, Merge, merge
from engine.switch.offload import ReachableWeights
from engine.switch.phases import Phases
from engine.switch.plan import WeightName, combine, in_order
from engine.switch.plans import StackPlan
from engine.switch.tier import choose_tier
from engine.switch.turns import Turn, one_at_a_time


@dataclass(frozen=True)
class _Live:
    """What is on the base weights; nothing is the base itself."""

    stack: tuple[LoraRef, ...] = ()
    embeddings: tuple[BundledEmbedding, ...] = ()
    identities: Mapping[WeightName, tuple[tuple[FileStamp, float], ...]] = field(
        default_factory=dict
    )
    """Of every weight that is not W0: equal ones have equal values."""


def _never() -> bool:
    return False


def _stop_if(cancelled: Cancelled) -> None:
    if cancelled():
        raise SwitchError("The switch was cancelled; the base model is live.")


class LoraSwitcher:
    """Applies stacks of LoRAs to SDXL's UNet and text encoders, and takes them off again exactly.

    Any diffusers/transformers modules of SDXL's structure will do, of any size and dtype. The
    weights must be the base model's when the switcher is made: their fingerprints are taken then.
    A model has one switcher: the newest, which can be made only while the base is live.

    `backup` says where the base weights of changed tensors are kept: `device` (fast; on a GPU as
    many as leave room for drawing, the rest in main memory), `cpu` (saves GPU memory), `file` (no
    memory at all: they are read again from the model's file by `source`) or `auto` (by free
    memory). `idle_backup_bytes` bounds copies that no live LoRA needs, which spare the next switch
    a copy; None keeps some in main memory beside a GPU, and none elsewhere.

    Threads: all methods may be called from any. One lock lets one call at a time at the weights;
    the others wait, and properties answer at once. Whoever draws keeps other threads' switches
    waiting meanwhile with `hold`. A call from within a call (by `cancelled`) is refused. A process
    forked from this one has a switcher and weights of its own.

    The model's file: where weights are pages of the mapped file (`open_checkpoint` on a CPU at the
    file's own dtype), its version is looked at before and after every switch. When it was written
    to, these weights are compared with their fingerprints; if one differs, everything is refused
    until the model is loaded anew or the file is what it was. `require_known` does so before a
    drawing. Replacing the file by another of its name changes nothing. Cutting it off while its
    pages are read ends the process, as with every mapped file; before or after, it is refused too.
    """

    def __init__(
        self,
        unet: nn.Module,
        text_encoder: nn.Module | None = None,
        text_encoder_2: nn.Module | None = None,
        backup: BackupChoice = "auto",
        cache: LoraCache | None = None,
        source: BaseSource | None = None,
        idle_backup_bytes: int | None = None,
    ) -> None:
        given = {"unet": unet, "text_encoder": text_encoder, "text_encoder_2": text_encoder_2}
        present = {part: module for part, module in given.items() if module is not None}
        self._turn = Turn()
        self._reachable = ReachableWeights(present)
        self._reachable.require()
        # torch.compile(module) wraps the module, whose names of weights would get a prefix.
        parts = {part: getattr(m, "_orig_mod", m) for part, m in present.items()}
        self._claim = Claim(parts.values())
        tier = choose_tier(backup, parts, has_source=source is not None)
        self._base = base = BaseModel(parts, tier, source, idle_backup_bytes)
        cache = cache or LoraCache(pinned=base.device.type == "cuda")
        self._loras = ModelLoras(parts, cache, lambda: base.device)
        self._live: _Live | None = _Live()
        self._claim.lay()

    @property
    def _known(self) -> _Live | None:
        """What is live, in one look for any thread; None while it is not known."""
        live = self._live
        return live if live is not None and self._base.is_certain else None

    @property
    def state(self) -> StateName:
        """`base`, `stack`, or `recovering` while the weights are being written or are unknown.

        `empty` when another switcher has taken the model over.
        """
        if self._claim.is_lost:
            return "empty"
        known = self._known
        if known is None:
            return "recovering"
        return "stack" if known.stack else "base"

    @property
    def stack(self) -> tuple[LoraRef, ...]:
        """The LoRAs that are live; empty for the base, and while that is unknown."""
        known = self._known
        return known.stack if known else ()

    @property
    def embeddings(self) -> tuple[BundledEmbedding, ...]:
        """The textual inversions bundled with the LoRAs that are live."""
        known = self._known
        return known.embeddings if known else ()

    def embeddings_of(self, stack: Iterable[LoraRef]) -> tuple[BundledEmbedding, ...]:
        """The textual inversions bundled with LoRAs that need not be live; raises as `apply`."""
        return tuple(found for ref in stack if ref.counts for found in self._loras.embeddings(ref))

    @property
    def base_fingerprint(self) -> str:
        """One for all base weights as they were loaded, in hex; the same wherever they lie."""
        return self._base.fingerprint

    @property
    def tier(self) -> Tier:
        """Where backups are kept."""
        return self._base.tier

    @property
    def backup_bytes(self) -> int:
        """Bytes of backups held."""
        return self._base.backup_bytes

    @property
    def backup_bytes_on_gpu(self) -> int:
        """Bytes of them that lie on the GPU; the others are in main memory."""
        return self._base.backup_bytes_on_gpu

    @property
    def cache_bytes(self) -> int:
        """Bytes of LoRA files held in host memory."""
        return self._loras.cache_bytes

    @property
    def device_cache_bytes(self) -> int:
        """Bytes of LoRA files that were sent to the GPU and are held there."""
        return self._loras.device_bytes

    def hold(self) -> AbstractContextManager[None]:
        """Keep other threads' calls waiting over several of one's own, such as switch and draw.

        `with switcher.hold(): switcher.apply(stack); image = pipe(prompt).images[0]`. A thread
        that holds the switcher cannot hold it again: that raises `SwitchError`.
        """
        return self._turn.hold()

    @one_at_a_time
    def apply(self, stack: Sequence[LoraRef], cancelled: Cancelled = _never) -> SwitchReport:
        """Make `stack` the live one; an empty stack is the base, bit for bit.

        Everything is checked before the first write: a refusal (`LoraRefusedError`,
        `FileFormatError`) leaves the model as it was. An error, a cancel or a lack of memory after
        the first write ends in the exact base (`SwitchError`; a `KeyboardInterrupt` passes on). A
        cancel while files are still read raises `CancelledError`, and the former stack stays.
        """
        self._settle()
        return self._switch(tuple(stack), cancelled)

    @one_at_a_time
    def backup_weights(self, stack: Sequence[LoraRef]) -> None:
        """Back up the base weights that `stack` would change, ahead of applying it.

        The first of sd-scripts' three steps; `apply` does it too. Raises what `apply` would.
        """
        self._settle(keep_stack=True)
        fitted = self._loras.fit(stack, Phases(), _never)
        self._base.back_up(combine(fitted.members))

    def pre_calculation(self, stack: Sequence[LoraRef]) -> SwitchReport:
        """Merge `stack` into the weights: sd-scripts' name for `apply`."""
        return self.apply(stack)

    def restore_weights(self) -> SwitchReport:
        """Bring the base back bit for bit: sd-scripts' name for `apply([])`."""
        return self.apply([])

    @one_at_a_time
    def require_known(self) -> None:
        """Make sure that the weights are what `state` says, before they are used.

        After a fault the base is brought back. Where the model's file was written to while its
        pages are weights, these are proven, and the live stack is merged anew. Raises `SwitchError`
        when weights are lost, and what `apply` would. Costs nothing where nothing happened.
        """
        self._settle(keep_stack=True)

    @one_at_a_time
    def verify(self) -> VerifyReport:
        """Compare the base with its fingerprints: backups of changed weights, all others live.

        Where live weights differ, the state is `recovering` from then on.
        """
        self._require_mine()
        with suppress(EngineError):
            # The report says which weights a failure is about.
            self._settle(keep_stack=True)
        return self._base.verify(self._live.identities if self._live else ())

    @one_at_a_time
    def set_backup(self, tier: Tier) -> None:
        """Move the backups; the live weights do not change.

        Raises `SwitchError` when the other memory is too small, or when the model's file does not
        hold the base any more; the backups then stay.
        """
        self._settle(keep_stack=True)
        self._base.move(tier)

    @one_at_a_time
    def free_device_cache(self) -> None:
        """Give up the LoRA files held on the GPU; a switch to one of them sends it again."""
        self._loras.free_device()

    def prefetch(self, ref: LoraRef, cancelled: Cancelled = _never) -> None:
        """Read a LoRA ahead of a switch, and send it to the GPU; raises what `apply` would.

        A file that would fill the cache alone is left for the switch itself. Other threads' calls
        need not wait for the reading.
        """
        self._claim.require()
        read = self._loras.prefetch(ref, cancelled)
        if read is not None:
            self._send(ref, *read)

    @one_at_a_time
    def _send(self, ref: LoraRef, file: LoraFile, adapters: Mapping[WeightName, Adapter]) -> None:
        """Send a LoRA to the GPU, and make a switch to it ready."""
        adapters = self._loras.where_the_weights_are(file, adapters)
        self._loras.make_ready((ref, file, adapters), self._base.live)

    def _settle(self, *, keep_stack: bool = False) -> None:
        """Know what is live: bring the base back where it is not known, and prove it.

        `keep_stack` merges a stack anew of which only the model's file made one doubt.
        """
        self._require_mine()
        live = self._live
        if live is not None and self._base.is_certain:
            return
        self._live = None
        self._recover()
        if keep_stack and live is not None and live.stack:
            self._switch(live.stack, _never)

    def _require_mine(self) -> None:
        """Raise `EngineError` where a write would be lost, or do harm to another switcher."""
        self._claim.require()
        self._reachable.require()

    def _switch(self, stack: tuple[LoraRef, ...], cancelled: Cancelled) -> SwitchReport:
        """`apply`, from weights that are known."""
        before = self._live
        assert before is not None, "settled"
        phases = Phases()
        fitted = self._loras.fit(stack, phases, cancelled)
        plan = self._loras.plan(fitted.members, self._base.live)
        wanted = plan.identities
        changed, leaving = plan.step_from(before.identities)
        ready = plan.ready_for(changed)
        with phases.phase("backup"):
            self._base.back_up(changed, by_merge=ready.members if ready else ())
            version = self._base.prove_source((*changed, *leaving))
        embeddings = tuple(
            found
            for ref, file, _ in in_order(fitted.members)
            if ref.counts
            for found in bundled_embeddings(file)
        )
        with phases.phase("merge"):
            self._claim.change()
            # Not known from before the first write until after the last.
            self._live = None
            try:
                self._write(changed, leaving, before, plan, cancelled)
                self._base.require_same_file(version)
                self._base.fulfil()
                # Inside: what is live is known the moment it is, whatever interrupts next.
                self._live = _Live(stack, embeddings, wanted)
            except BaseException as error:
                self._live = None
                # The failed merge's temporaries would take the memory that the way back needs.
                traceback.clear_frames(error.__traceback__)
                try:
                    self._recover()
                except SwitchError as failure:
                    if isinstance(error, Exception):
                        raise
                    # An interrupt is for whoever caught it before.
                    error.add_note(str(failure))
                    raise error from failure
                if isinstance(error, EngineError) or not isinstance(error, Exception):
                    raise
                raise SwitchError(
                    f"The switch failed and the base model is live again: {reason(error)}."
                ) from error
        self._base.release(all_but=wanted)
        if not wanted:
            self._claim.release()
        return SwitchReport(
            stack=stack,
            loras=tuple(fitted.reports),
            found_in_memory=fitted.found_in_memory,
            merged=len(changed),
            restored=len(leaving),
            kept=len(wanted) - len(changed),
            bytes_written=self._base.bytes((*changed, *leaving)),
            backup_bytes=self._base.backup_bytes,
            tier=self._base.tier,
            text_encoders_changed=any(n.part in TEXT_ENCODERS for n in (*changed, *leaving)),
            milliseconds=phases.milliseconds(),
        )

    def _write(
        self,
        changed: Sequence[WeightName],
        leaving: Sequence[WeightName],
        before: _Live,
        plan: StackPlan,
        cancelled: Cancelled,
    ) -> None:
        """Restore what no LoRA changes any more, and merge the rest, each weight from W0."""
        self._base.restore(leaving)
        done, rest = self._merge_ready(changed, before, plan, cancelled)

        def merges() -> Iterator[Merge]:
            for name in rest:
                _stop_if(cancelled)
                live = self._base.live(name)
                # What no LoRA has changed is W0 itself.
                is_changed = name in before.identities
                base = self._base.for_merging(name) if is_changed else live
                yield Merge(live, base, plan.terms[name])

        merge(merges(), done)
        for device in self._base.gpus:
            torch.cuda.synchronize(device)

    def _merge_ready(
        self, changed: Sequence[WeightName], before: _Live, plan: StackPlan, cancelled: Cancelled
    ) -> tuple[Done, Sequence[WeightName]]:
        """Launch what was made ready for a whole stack; gives what is left to be merged, too."""
        ready = plan.ready_for(changed)
        if ready is None:
            return Done(), changed
        _stop_if(cancelled)
        finite = ready.run(*self._base.all_for_merging(ready.names, before.identities))
        if finite is None:
            # With nothing written these are merged one by one, W0 being where it was asked for.
            self._base.fulfil(by_copying=True)
            return Done(), changed
        return Done([finite], ready.dtypes), ready.rest

    def _recover(self) -> None:
        """Copy every backup back and check it against its fingerprint."""
        try:
            damaged = self._base.restore_all()
        except Exception as error:
            raise SwitchError(
                f"The base could not be brought back yet ({reason(error).rstrip('.')}); go back to "
                "the base once more, or load the model again."
            ) from error
        if damaged:
            raise SwitchError(
                f"{len(damaged):,} weights could not be brought back (such as {damaged[0]}): "
                f"{self._base.why_damaged}; load the model again."
            )
        self._live = _Live()
        self._claim.release()
