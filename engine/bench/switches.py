"""Our own switches: cold, warm, from one LoRA to another, strengths, stacks, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from engine.bench.clock import median, seconds_of
from engine.bench.cold import CAN_DROP_PAGES, ColdFiles
from engine.bench.limits import Floor
from engine.bench.memory import PeakMemory
from engine.bench.results import Switching, TierMemory
from engine.bench.steadiness import Steadiness, spread
from engine.bench.work import Works, union_bytes
from engine.protocol.refs import LoraRef
from engine.protocol.reports import SwitchReport, Tier
from engine.switch.switcher import LoraSwitcher

Stack = tuple[LoraRef, ...]

FROM_BASE = "base to A"
TO_ANOTHER = "A to B"
BACK = "A to base"

STACKS = (3, 8)
_OTHER_STRENGTH = 0.8


@dataclass(frozen=True)
class Case:
    """A switch from one stack to another; `fresh` gives the latter anew for every run."""

    name: str
    before: Stack
    after: Stack
    fresh: Callable[[], Stack] | None = None

    def target(self) -> Stack:
        """The stack to switch to."""
        return self.fresh() if self.fresh is not None else self.after


def cases(loras: Sequence[LoraRef], cold: ColdFiles) -> Iterator[Case]:
    """All that can be measured with so many LoRAs: two for A to B, three and eight for stacks.

    The backup is part of a switch from the base, and for `A to B` of the weights A does not touch.
    """
    first = loras[0]
    if CAN_DROP_PAGES:
        yield Case(
            f"{FROM_BASE}, cold, from the disk",
            (),
            (first,),
            lambda: (cold.of(first, on_disk=True),),
        )
    yield Case(
        f"{FROM_BASE}, cold, in the page cache",
        (),
        (first,),
        lambda: (cold.of(first, on_disk=False),),
    )
    yield Case(FROM_BASE, (), (first,))
    if len(loras) > 1:
        yield Case(TO_ANOTHER, (first,), (loras[1],))
    yield Case("A at another strength", (first,), (first.at(_OTHER_STRENGTH),))
    for size in STACKS:
        if len(loras) >= size:
            yield Case(f"A to a stack of {size}", (first,), tuple(loras[:size]))
    yield Case(BACK, (first,), ())


def measure(
    case: Case,
    tier: Tier,
    switcher: LoraSwitcher,
    works: Works,
    floor: Floor,
    steadiness: Steadiness,
    device: torch.device,
    repeat: int,
) -> Switching:
    """Do a switch `repeat` times after one that is not counted, each from the same stack."""
    switcher.apply(case.after)
    seconds: list[float] = []
    copies = [steadiness.sample()]
    reports: list[SwitchReport] = []
    held: list[tuple[int, int]] = []

    def switch(target: Stack) -> None:
        reports.append(switcher.apply(target))

    def note_backups() -> None:
        held.append((switcher.backup_bytes, switcher.backup_bytes_on_gpu))

    for _ in range(repeat):
        switcher.apply(case.before)
        note_backups()
        seconds.append(seconds_of(partial(switch, case.target()), device))
        note_backups()
        copies.append(steadiness.sample())
    # The base needs none: those of the stack before or after it count.
    backups, on_gpu = max(held)
    return Switching(
        name=case.name,
        tier=tier,
        seconds=median(seconds),
        fastest=min(seconds),
        floor=floor_of(case, tier, works, floor, on_gpu / backups if backups else 1.0),
        spread=spread(copies),
        phases=reports[-1].milliseconds,
    )


def floor_of(case: Case, tier: Tier, works: Works, floor: Floor, on_gpu: float = 1.0) -> float:
    """The floor of a switch in seconds; see `Floor.seconds`."""
    after = works.of(case.after)
    return floor.seconds(tier, union_bytes([works.of(case.before), after]), after, on_gpu)


def measure_memory(
    lora: LoraRef, tier: Tier, switcher: LoraSwitcher, device: torch.device
) -> TierMemory:
    """The peak of a switch from the base, of a LoRA that is held in memory already."""
    switcher.apply((lora,))
    switcher.apply(())
    with PeakMemory(device) as peak:
        switcher.apply((lora,))
    held = switcher.backup_bytes
    switcher.apply(())
    return TierMemory(tier, peak.device_bytes, peak.host_bytes, held)
