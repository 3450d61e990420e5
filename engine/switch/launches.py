"""Launches of the merge kernel: one for all weights that lie alike in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from engine.lora.families import LowRank
from engine.lora.families.lora import Factors

if TYPE_CHECKING:
    from engine.switch.kernel import Launch
    from engine.switch.plan import Term
    from engine.switch.tiles import Tile

_WEIGHTS = (torch.float16, torch.bfloat16, torch.float32)


class Layout(NamedTuple):
    """How weights of one launch lie in memory."""

    device: torch.device
    dtype: torch.dtype
    shape: torch.Size
    is_channels_last: bool

    @classmethod
    def of(cls, weight: torch.Tensor) -> Layout | None:
        """The layout of a weight that kernels can merge; None for any other."""
        if weight.dtype not in _WEIGHTS or weight.dim() < 2:
            return None
        is_plain = weight.is_contiguous()
        if not is_plain and not _is_channels_last(weight):
            return None
        return cls(weight.device, weight.dtype, weight.shape, not is_plain)

    def is_of(self, weights: Sequence[torch.Tensor]) -> bool:
        """Whether all these weights lie so; they have the shape."""
        # In lists, which are quicker than one look at each in turn.
        lies = _is_channels_last if self.is_channels_last else torch.Tensor.is_contiguous
        device = -1 if self.device.index is None else self.device.index
        return (
            {weight.dtype for weight in weights} == {self.dtype}
            and set(map(torch.Tensor.get_device, weights)) == {device}
            and all(map(lies, weights))
        )


def _is_channels_last(weight: torch.Tensor) -> bool:
    return weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last)


class Work(NamedTuple):
    """A launch, and in its order the weights that it writes and what each is computed from.

    `copies` of the bases are written beside, where there are any.
    """

    launch: Launch
    lives: Sequence[torch.Tensor]
    bases: Sequence[torch.Tensor]
    copies: Sequence[torch.Tensor | None] = ()


def new_launch(
    layout: Layout, factors: torch.dtype, terms: int, tile: Tile | None = None
) -> Launch:
    """A launch for weights of one layout with as many products of one dtype each.

    In place of the tile that is known to be best another may be given.
    """
    # Where no kernel runs, Triton need not be there.
    from engine.switch.kernel import Launch

    return Launch(layout.dtype, layout.shape, factors, terms, tile)


def factors_of(terms: Sequence[Term], layout: Layout) -> list[Factors] | None:
    """What a kernel needs of a weight's terms; None where it cannot merge them."""
    adapters = [term.adapter for term in terms if isinstance(term.adapter, LowRank)]
    if len(adapters) < len(terms):
        return None
    factors = [
        a.factors_channels_last(layout.shape) if layout.is_channels_last else a.factors
        for a in adapters
    ]
    dtype = factors[0].up.dtype
    if any((f.up.dtype, f.up.device) != (dtype, layout.device) for f in factors):
        return None
    return factors


def scales_of(terms: Sequence[Term]) -> list[float]:
    """What each product is multiplied by."""
    return [term.adapter.scale * term.strength for term in terms]  # type: ignore[attr-defined]


def launch_all(works: Sequence[Work], device: torch.device) -> torch.Tensor:
    """Launch everything on its device, to which all addresses are sent at once.

    Returns whether all that was written is finite, as a tensor that need not be computed yet.
    """
    addresses = [
        address for work in works for address in addresses_of(work.lives, work.bases, work.copies)
    ]
    return launch_at([work.launch for work in works], Sent(addresses, device))


def addresses_of(
    lives: Sequence[torch.Tensor],
    bases: Sequence[torch.Tensor],
    copies: Sequence[torch.Tensor | None] = (),
) -> list[int]:
    """Where each live weight lies, its base, and the copy of that which is to be written, or 0."""
    found = [0] * (3 * len(lives))
    found[::3] = [live.data_ptr() for live in lives]
    found[1::3] = [base.data_ptr() for base in bases]
    if copies:
        found[2::3] = [0 if copy is None else copy.data_ptr() for copy in copies]
    return found


class Sent:
    """Addresses as of `addresses_of` that are on the GPU, in the order of some launches."""

    def __init__(self, addresses: list[int], device: torch.device) -> None:
        self.addresses = addresses
        self.device = device
        self._numbers = np.array(addresses, dtype=np.int64)
        host = torch.from_numpy(self._numbers)
        on_gpu = device.type == "cuda"
        self._there = (host.pin_memory() if on_gpu else host).to(device, non_blocking=True)

    def part(self, start: int, count: int) -> tuple[torch.Tensor, int]:
        """Those of `count` weights from one on, and all of them joined by "or"."""
        here = slice(3 * start, 3 * (start + count))
        return self._there[here], int(np.bitwise_or.reduce(self._numbers[here]))


def launch_at(launches: Sequence[Launch], sent: Sent) -> torch.Tensor:
    """Launch everything, for weights whose addresses are on the GPU.

    Returns whether all that was written is finite, as a tensor that need not be computed yet.
    """
    finite = torch.ones((), dtype=torch.int32, device=sent.device)
    start = 0
    for launch in launches:
        launch.run(*sent.part(start, len(launch)), finite)
        start += len(launch)
    return finite.bool()
