"""With how many threads a model is computed."""

from __future__ import annotations

import torch

from engine.session.opened import OpenedModel

TINY = 50_000_000
"""Weights: SDXL has fifty times as many."""


class Threads:
    """PyTorch's number of threads, as a model needs it; to be used on the thread that computes.

    The layers of a tiny model take less time than to share them out. Where other programs want the
    processor as well, the threads wait for each other at every layer: with two threads on two busy
    cores the demo took four times as long as with one.
    """

    def __init__(self) -> None:
        self._usual: int | None = None
        """What it was before a tiny model came."""

    def fit(self, model: OpenedModel) -> None:
        """One for a tiny model on the CPU, else what is usual."""
        modules = model.checkpoint.modules.values()
        weights = sum(p.numel() for module in modules for p in module.parameters())
        if model.device.type == "cpu" and weights < TINY:
            self._usual = self._usual or torch.get_num_threads()
            torch.set_num_threads(1)
        elif self._usual is not None:
            torch.set_num_threads(self._usual)
            self._usual = None
