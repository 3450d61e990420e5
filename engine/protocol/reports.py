"""What a switch, a verification and the memory look like from outside: plain frozen data."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from engine.protocol.refs import LoraRef
from engine.words.clean import clean_line

Tier = Literal["device", "cpu", "file"]
BackupChoice = Literal["auto", "device", "cpu", "file"]
StateName = Literal["empty", "base", "stack", "recovering"]


class PartReport(Struct, frozen=True):
    """What one LoRA changes in one part of the model, at strengths other than 0."""

    part: str
    """`unet`, `text_encoder` or `text_encoder_2`."""
    modules: int
    bytes: int
    """Of the weights and biases it changes, in the model's type."""


class LoraReport(Struct, frozen=True):
    """How one LoRA file fits the model: its adapter families and its modules by fate.

    Known before anything is touched. `matched`, `unmatched`, `unsupported`, `twice`,
    `biases_alone` and `empty` together are all modules of the file.
    """

    name: str
    families: tuple[tuple[str, int], ...]
    """Adapter family and number of modules, most frequent first: `(("LoRA", 722),)`."""
    matched: int
    unmatched: tuple[str, ...] = ()
    """Module names in the file that the model does not have."""
    unsupported: tuple[str, ...] = ()
    """Modules whose tensors form no adapter known here, or no whole one."""
    twice: tuple[str, ...] = ()
    """Modules whose weight the file changes under another name; the first one counts."""
    biases_alone: tuple[str, ...] = ()
    """Modules that would change nothing but a bias, which the model's do not have."""
    empty: tuple[str, ...] = ()
    """Modules that change nothing: their factors have rank 0."""
    base_model: str = ""
    """What the file is for; empty when it cannot be told."""
    base_evidence: str = ""
    """Why `base_model` says so, in words: `attn2 width 2048`."""
    parts: tuple[PartReport, ...] = ()
    """The matched modules by part of the model, so that a part of strength 0 can be told apart."""
    unknown_keys: tuple[str, ...] = ()
    """Tensors of the file that belong to no adapter."""
    embeddings: tuple[str, ...] = ()
    """Names of the textual inversions bundled with it."""
    zeros: tuple[str, ...] = ()
    """Matched modules that change nothing: a factor or a difference, once read, is zeros alone.

    It is told of LoRA, LoHa, LoKr, HiRA, AdaLoRA and differences, and of no other family.
    """
    dropped_biases: tuple[str, ...] = ()
    """Matched modules whose change of a bias is left out, since the model's have none."""
    left_over: tuple[str, ...] = ()
    """Tensors inside matched modules that no adapter known here uses."""
    remarks: tuple[str, ...] = ()
    """What else is to be said of the file, in sentences that go on from its name."""
    scratch_bytes: int = 0
    """Working memory in float32 that merging its largest weight takes, about."""

    @property
    def modules(self) -> int:
        """All modules of the file."""
        missed = (self.unmatched, self.unsupported, self.twice, self.biases_alone, self.empty)
        return self.matched + sum(map(len, missed))

    @property
    def bytes(self) -> int:
        """Bytes of weights to write when every part has a strength."""
        return sum(part.bytes for part in self.parts)

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each thing in the file that is not used, fit for a terminal."""
        of_all = f"of {self.modules} modules"
        found = (
            (self.unmatched, f"{of_all} are not in the model"),
            (self.unsupported, f"{of_all} are incomplete, or of a kind not supported"),
            (self.twice, f"{of_all} are left out, another name of their weight came first"),
            (self.biases_alone, f"{of_all} change only a bias, which the model's do not have"),
            (self.empty, f"{of_all} have rank 0 and change nothing"),
            (
                self.zeros,
                f"{of_all} are zeros and change nothing: untrained, or of an unfinished download",
            ),
            (self.dropped_biases, "changes of a bias are left out, the model has none there"),
            (self.left_over, "tensors beside those of an adapter are of no use here, and left out"),
            (self.unknown_keys, "tensors belong to no module and are not used"),
        )
        counted = (
            f"{len(names):,} {what} (such as {clean_line(names[0], 90)})."
            for names, what in found
            if names
        )
        return tuple(f"{clean_line(self.name)}: {words}" for words in (*counted, *self.remarks))


class SwitchReport(Struct, frozen=True):
    """What a switch did: tensors by fate, bytes, and milliseconds by phase."""

    stack: tuple[LoraRef, ...]
    loras: tuple[LoraReport, ...]
    found_in_memory: int
    """How many of them were read before, ahead of the switch or for an earlier one."""
    merged: int
    restored: int
    kept: int
    """Tensors that were live with the same merged value before, and were not touched."""
    bytes_written: int
    backup_bytes: int
    tier: Tier
    text_encoders_changed: bool
    milliseconds: tuple[tuple[str, float], ...]
    """Phases in order: plan, read, backup, merge."""

    @property
    def total_milliseconds(self) -> float:
        """The whole switch."""
        return sum(ms for _, ms in self.milliseconds)


class VerifyReport(Struct, frozen=True):
    """The base weights compared with their fingerprints taken at load."""

    checked: int
    """Tensors compared."""
    different: tuple[str, ...]
    """Names of the tensors that differ; empty when all is well."""
    weights: int
    """Numbers (elements) compared."""


class MemoryReport(Struct, frozen=True):
    """Bytes this engine holds, by purpose; torch's figures are 0 on a CPU."""

    model: int = 0
    backup: int = 0
    backup_tier: Tier = "device"
    lora_cache: int = 0
    """LoRA files held in main memory."""
    torch_allocated: int = 0
    torch_reserved: int = 0
    model_offloaded: int = 0
    """What of `model` rests in main memory and visits the device."""
    lora_on_gpu: int = 0
    """LoRA files that were sent to the GPU too."""
    backup_on_gpu: int = 0
    """What of `backup` lies on the GPU."""
