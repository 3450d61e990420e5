"""Merges on a GPU collected by shape, so that SDXL's hundreds of layers take a few launches."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from engine.host_memory import is_out_of_memory
from engine.lora.families import LowRank
from engine.lora.on_device import sent
from engine.switch.launches import Layout, Work, factors_of, launch_all, new_launch, scales_of

if TYPE_CHECKING:
    from engine.switch.kernel import Launch
    from engine.switch.merge import Merge

PIECE_BYTES = 64 << 20
"""Of factors sent to a GPU for one merge alone: when there are as many, what has come is merged."""

_WEIGHTS = (torch.float16, torch.bfloat16, torch.float32)

log = logging.getLogger(__name__)

_OLDEST = (8, 0)
"""The compute capability from which on Triton is made for a GPU."""

_TRIED: dict[torch.device, bool] = {}
_WHY_NOT: dict[torch.device, str] = {}


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
            _WHY_NOT[device] = _in_words(error)
    return _TRIED[device]


def warm_up(device: torch.device, dtype: torch.dtype) -> tuple[str, ...]:
    """Build the kernels for a model's weights now, not in its first switch.

    Gives what a user should know: why switches will be slower than they could be.
    """
    if device.type != "cuda":
        return ()
    if kernels_run_on(device) and _try(device, dtype):
        return ()
    why = _WHY_NOT.get(device, "the kernel that merges all at once does not work here")
    return (f"LoRAs are merged one weight after another, which is slower: {why}.",)


def _try(device: torch.device, dtype: torch.dtype) -> bool:
    """Build the kernels for weights of a dtype; where one is wrong, none is used."""
    try:
        _TRIED[device] = all(_kernel_is_right(device, dtype, factors) for factors in _WEIGHTS)
    except Exception as error:
        if is_out_of_memory(error):
            # What is missing is built when it is needed.
            return True
        log.exception("kernels for %s cannot be built here; weights are merged one by one", dtype)
        _TRIED[device] = False
        _WHY_NOT[device] = _in_words(error)
    return _TRIED[device]


def _in_words(error: Exception) -> str:
    if "C compiler" in str(error):
        return "Triton needs a C compiler to build its kernel, and finds none; install gcc"
    return f"Triton cannot build its kernel ({(str(error).splitlines() or [''])[0][:200]})"


def _is_made_for(device: torch.device) -> bool:
    if device.type != "cuda":
        return False
    if importlib.util.find_spec("triton") is None:
        _WHY_NOT[device] = "Triton is not installed"
        return False
    if torch.cuda.get_device_capability(device) < _OLDEST:
        _WHY_NOT[device] = "Triton is made for newer GPUs than this one"
        return False
    return True


def _kernel_is_right(
    device: torch.device,
    weight: torch.dtype = torch.float16,
    factor: torch.dtype = torch.float16,
) -> bool:
    """Merge one small weight, and compare it with what PyTorch makes of it."""
    base = torch.linspace(-1, 1, 64 * 64, device=device).reshape(64, 64).to(weight)
    live, unit = torch.empty_like(base), torch.eye(64, device=device, dtype=factor)
    layout = Layout.of(live)
    assert layout is not None, "plain"
    launch = new_launch(layout, factor, 1)
    launch.add([LowRank(unit, unit, 1.0).factors], [0.5])
    is_finite = launch_all([Work(launch, [live], [base])], device)
    return bool(is_finite) and torch.equal(live, (base.float() + 0.5 * unit.float()).to(weight))


@dataclass
class _Taken:
    """A launch that is still being filled, with its weights and their bases."""

    launch: Launch
    lives: list[torch.Tensor] = field(default_factory=list)
    bases: list[torch.Tensor] = field(default_factory=list)


class GroupedMerge:
    """Takes what one kernel can merge, and merges all of it by one launch for each shape."""

    def __init__(self) -> None:
        self._works: dict[tuple[Layout, torch.dtype, int], _Taken] = {}
        self._sent = 0

    def take(self, merge: Merge) -> bool:
        """Keep a merge for `run`; False where it is to be done otherwise."""
        layout = Layout.of(merge.live)
        if layout is None or layout != Layout.of(merge.base):
            return False
        if not kernels_run_on(layout.device):
            return False
        terms = [
            term._replace(adapter=sent(term.adapter, layout.device))
            if isinstance(term.adapter, LowRank)
            else term
            for term in merge.terms
        ]
        factors = factors_of(terms, layout)
        if factors is None:
            return False
        key = layout, factors[0].up.dtype, len(factors)
        if key not in self._works:
            self._works[key] = _Taken(new_launch(*key))
        taken = self._works[key]
        taken.launch.add(factors, scales_of(terms))
        taken.lives.append(merge.live)
        taken.bases.append(merge.base)
        self._sent += sum(
            new.adapter.up.nbytes + new.adapter.down.nbytes  # type: ignore[attr-defined]
            for new, old in zip(terms, merge.terms, strict=True)
            if new.adapter is not old.adapter
        )
        return True

    @property
    def is_full(self) -> bool:
        """Whether `run` is to make room on the GPU before more is taken."""
        return self._sent >= PIECE_BYTES

    def run(self) -> Iterator[torch.Tensor]:
        """Launch everything; gives whether all values are finite, for each device."""
        by_device: dict[torch.device, list[Work]] = {}
        for (layout, _, _), taken in self._works.items():
            work = Work(taken.launch, taken.lives, taken.bases)
            by_device.setdefault(layout.device, []).append(work)
        for device, works in by_device.items():
            yield launch_all(works, device)
        self._works.clear()
        self._sent = 0
