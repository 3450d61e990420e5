"""The merge of a whole stack by kernels, made ready once: a switch sends addresses and launches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from engine.switch import grouped
from engine.switch.launches import (
    Layout,
    Sent,
    addresses_of,
    factors_of,
    launch_at,
    new_launch,
    scales_of,
)
from engine.switch.plan import Term, Terms, WeightName

if TYPE_CHECKING:
    from engine.switch.kernel import Launch

Find = Callable[[WeightName], torch.Tensor]


class ReadyMerge:
    """The launches of a stack's weights, whose factors are on the GPU with their addresses.

    `names` are the weights that kernels merge, in the order that `run` takes them in, and `members`
    the same as a set; `rest` are the others. A switch sends what may have changed since: where
    weights and their bases lie.
    """

    def __init__(self, terms: Terms, live: Find, device: torch.device) -> None:
        self.device = device
        self._launches: dict[tuple[Layout, torch.dtype, int], Launch] = {}
        self._sent: Sent | None = None
        self.rest: list[WeightName] = []
        members: dict[object, list[WeightName]] = {}
        for name, parts in terms.items():
            key = self._take(live(name), parts)
            if key is None:
                self.rest.append(name)
            else:
                members.setdefault(key, []).append(name)
        self.names = [name for key in self._launches for name in members[key]]
        self.members = frozenset(self.names)
        for launch in self._launches.values():
            launch.send(self.device)

    @property
    def dtypes(self) -> set[torch.dtype]:
        """Those of the weights."""
        return {layout.dtype for layout, _, _ in self._launches}

    def _take(
        self, live: torch.Tensor, terms: Sequence[Term]
    ) -> tuple[Layout, torch.dtype, int] | None:
        """Add a weight's factors to the launch that is for it; None where none is."""
        layout = Layout.of(live)
        if (
            layout is None
            or layout.device != self.device
            or not grouped.kernels_run_on(layout.device)
        ):
            return None
        factors = factors_of(terms, layout)
        if factors is None:
            return None
        key = layout, factors[0].up.dtype, len(factors)
        if key not in self._launches:
            self._launches[key] = new_launch(*key)
        self._launches[key].add(factors, scales_of(terms))
        return key

    def run(
        self,
        lives: Sequence[torch.Tensor],
        bases: Sequence[torch.Tensor],
        copies: Sequence[torch.Tensor | None] = (),
    ) -> torch.Tensor | None:
        """Merge the weights of `names`, each from its base, which may be the live weight itself.

        `copies` like the live weights, where there are any, become copies of the bases.
        Returns whether all that was written is finite, as a tensor that need not be computed yet;
        None, with nothing written, where a weight does not lie as it did when this was made.
        """
        if not self._lie_alike(lives) or (bases is not lives and not self._lie_alike(bases)):
            return None
        addresses = addresses_of(lives, bases, copies)
        if self._sent is None or addresses != self._sent.addresses:
            self._sent = Sent(addresses, self.device)
        return launch_at(list(self._launches.values()), self._sent)

    def _lie_alike(self, weights: Sequence[torch.Tensor]) -> bool:
        """Whether weights lie in memory as these launches take them to."""
        start = 0
        for (layout, _, _), launch in self._launches.items():
            if not layout.is_of(weights[start : start + len(launch)]):
                return False
            start += len(launch)
        return True
