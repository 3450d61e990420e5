"""Merges on a GPU collected by shape, so that SDXL's hundreds of layers take a few launches."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from engine.host_memory import is_out_of_memory
from engine.lora.families import LowRank

if TYPE_CHECKING:
    from engine.switch.kernel import Launch
    from engine.switch.merge import Merge

log = logging.getLogger(__name__)

_OLDEST = (8, 0)
"""The compute capability from which on Triton is made for a GPU."""

_WEIGHTS = (torch.float16, torch.bfloat16, torch.float32)


_TRIED: dict[torch.device, bool] = {}


def kernels_run_on(device: torch.device) -> bool:
    """Whether weights on this device are merged by kernels of our own: tried once, with one.

    Triton builds them when they are first run, for which it needs a C compiler, Python's headers
    and a folder to keep them in; without these the plain products of PyTorch do the same. Where the
    GPU had no memory for the try, the next merge tries again.
    """
    if device not in _TRIED:
        try:
            _TRIED[device] = _is_made_for(device) and _kernel_is_right(device)
        except Exception as error:
            if is_out_of_memory(error):
                log.warning("no memory to try the kernels; these weights are merged one by one")
                return False
            log.exception("kernels cannot be built here; weights are merged one by one")
            _TRIED[device] = False
    return _TRIED[device]


def _is_made_for(device: torch.device) -> bool:
    if device.type != "cuda" or importlib.util.find_spec("triton") is None:
        return False
    return torch.cuda.get_device_capability(device) >= _OLDEST


def _kernel_is_right(device: torch.device) -> bool:
    """Merge one small weight, and compare it with what PyTorch makes of it."""
    base = torch.linspace(-1, 1, 64 * 64, device=device).reshape(64, 64).half()
    live, factor = torch.empty_like(base), torch.eye(64, device=device, dtype=torch.float16)
    launch = _launch_for(live, factor.dtype, 1)
    launch.add(live, base, [LowRank(factor, factor, 1.0).factors], [0.5])
    return bool(launch.run()) and torch.equal(live, (base.float() + 0.5 * factor.float()).half())


class GroupedMerge:
    """Takes what one kernel can merge, and merges all of it by one launch for each shape."""

    def __init__(self) -> None:
        self._launches: dict[object, Launch] = {}

    def take(self, merge: Merge) -> bool:
        """Keep a merge for `run`; False where it is to be done otherwise."""
        live, base = merge.live, merge.base
        if live.dtype not in _WEIGHTS or live.dim() < 2 or base.device != live.device:
            return False
        if not kernels_run_on(live.device):
            return False
        adapters = [a for a, _, _ in merge.terms if isinstance(a, LowRank)]
        whole = live.is_contiguous() and base.is_contiguous()
        if len(adapters) < len(merge.terms) or not whole:
            return False
        factors = [adapter.factors for adapter in adapters]
        dtype = factors[0].up.dtype
        if any((f.up.dtype, f.up.device) != (dtype, live.device) for f in factors):
            return False
        key = live.device, live.dtype, live.shape, dtype, len(factors)
        if key not in self._launches:
            self._launches[key] = _launch_for(live, dtype, len(factors))
        scales = [
            a.scale * strength for a, (_, strength, _) in zip(adapters, merge.terms, strict=True)
        ]
        self._launches[key].add(live, base, factors, scales)
        return True

    def run(self) -> Iterator[torch.Tensor]:
        """Launch everything; gives for each launch whether all its values are finite."""
        for launch in self._launches.values():
            yield launch.run()
        self._launches.clear()


def _launch_for(weight: torch.Tensor, factors: torch.dtype, terms: int) -> Launch:
    # Where no kernel runs, Triton need not be there.
    from engine.switch.kernel import Launch

    return Launch(weight, factors, terms)
