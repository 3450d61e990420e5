"""Readings of memory and GPU."""

from engine.monitor.reading import GpuReading, Reading
from engine.monitor.sampler import Sampler

__all__ = ["GpuReading", "Reading", "Sampler"]
