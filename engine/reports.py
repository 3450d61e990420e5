"""What a switch, a verification and the memory look like from outside: plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.refs import LoraRef

Tier = Literal["device", "cpu", "file"]
BackupChoice = Literal["auto", "device", "cpu", "file"]
StateName = Literal["empty", "base", "stack", "recovering"]


@dataclass(frozen=True)
class LoraReport:
    """How one LoRA file fits the model: its adapter families and its modules by fate."""

    name: str
    families: tuple[tuple[str, int], ...]
    """Adapter family and number of modules, most frequent first: `(("LoRA", 722),)`."""
    matched: int
    unmatched: tuple[str, ...] = ()
    """Module names in the file that the model does not have."""
    unsupported: tuple[str, ...] = ()
    """Modules whose tensors form no adapter known here."""


@dataclass(frozen=True)
class SwitchReport:
    """What a switch did: tensors by fate, bytes, and milliseconds by phase."""

    stack: tuple[LoraRef, ...]
    loras: tuple[LoraReport, ...]
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


@dataclass(frozen=True)
class VerifyReport:
    """The base weights compared with their fingerprints taken at load."""

    checked: int
    """Tensors compared."""
    different: tuple[str, ...]
    """Names of the tensors that differ; empty when all is well."""
    weights: int
    """Numbers (elements) compared."""


@dataclass(frozen=True)
class MemoryReport:
    """Bytes this engine holds, by purpose; torch's figures are 0 on a CPU."""

    model: int = 0
    backup: int = 0
    backup_tier: Tier = "device"
    lora_cache: int = 0
    torch_allocated: int = 0
    torch_reserved: int = 0
