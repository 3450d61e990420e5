"""Readings of memory and GPU at one moment."""

from __future__ import annotations

from msgspec import Struct


class GpuReading(Struct, frozen=True):
    """One GPU at one moment; a value that the driver does not report is None. Bytes, °C, watts."""

    name: str
    memory_used: int | None
    memory_total: int | None
    utilisation: int | None
    """Percent."""
    temperature: int | None
    power: float | None
    power_limit: float | None


class Reading(Struct, frozen=True):
    """The machine at one moment; `gpu_note` says in a word why `gpu` or its memory is None."""

    monotonic: float
    ram_used: int
    ram_total: int
    process_rss: int
    gpu: GpuReading | None = None
    gpu_note: str = ""
