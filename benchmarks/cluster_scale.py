"""How far a cluster scales: a simulation of the driver, its link and the workers.

Simulated are the driver, which hands out cells and puts pictures away one after the other, the
link of its node, over which each other node is sent a LoRA once, and workers that fetch, switch and
draw. `engine.cluster.handing` hands the cells out, as in earnest; two other policies stand beside.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.cluster.handing import Handing

Cell = tuple[int, int]
"""Its stack, and its number in it. The LoRA of stack s is s // strengths."""
Groups = Sequence[tuple[Hashable, Sequence[Cell]]]


@dataclass(frozen=True)
class Times:
    """What things take, in seconds and bytes."""

    draw: float
    switch: float
    put: float
    """The driver's, to put a picture away and to hand out the next cell."""
    lora_bytes: float
    link: float
    """Bytes a second out of the driver's node."""
    picture_bytes: float


@dataclass(frozen=True)
class Outcome:
    """What a run comes to."""

    seconds: float
    idle: float
    """Share of the workers' time in which nothing is drawn."""
    switches: int
    sent: float
    """Bytes over the wire, pictures included."""


class Policy(Protocol):
    """Hands out cells."""

    def next(self, worker: str) -> Cell | None: ...

    def ahead(self, worker: str) -> Cell | None: ...

    def drawn(self, worker: str) -> None: ...


class InOrder:
    """The next cell to whoever is free, whatever its stack."""

    def __init__(self, groups: Groups, workers: Sequence[str]) -> None:
        self._cells = [cell for _, cells in groups for cell in cells][::-1]

    def next(self, worker: str) -> Cell | None:
        return self._cells.pop() if self._cells else None

    def ahead(self, worker: str) -> Cell | None:
        return self._cells[-1] if self._cells else None

    def drawn(self, worker: str) -> None: ...


class FixedShares:
    """Whole stacks dealt out at the beginning; who is done, is done."""

    def __init__(self, groups: Groups, workers: Sequence[str]) -> None:
        self._cells: dict[str, list[Cell]] = {worker: [] for worker in workers}
        for number, (_, cells) in enumerate(groups):
            self._cells[workers[number % len(workers)]][:0] = cells[::-1]

    def next(self, worker: str) -> Cell | None:
        return self._cells[worker].pop() if self._cells[worker] else None

    def ahead(self, worker: str) -> Cell | None:
        return self._cells[worker][-1] if self._cells[worker] else None

    def drawn(self, worker: str) -> None: ...


def by_stack(groups: Groups, workers: Sequence[str]) -> Policy:
    """The product's own: whole stacks, and half of the longest rest for who runs dry."""
    return Handing(groups)


POLICIES: dict[str, Callable[[Groups, Sequence[str]], Policy]] = {
    "next cell to whoever is free": InOrder,
    "stacks dealt out beforehand": FixedShares,
    "by stack, with stealing": by_stack,
}


def simulate(
    groups: Groups, strengths: int, nodes: int, each: int, times: Times, policy: str
) -> Outcome:
    """Draw all cells on `nodes` machines with `each` workers; the first node is the driver's."""
    chance = random.Random(1)
    names = [f"{node}/{n}" for node in range(nodes) for n in range(each)]
    handing = POLICIES[policy](groups, names)
    there: dict[tuple[str, int], float] = {}
    """When a node has a LoRA."""
    live: dict[str, int | None] = dict.fromkeys(names)
    driver = link = drawing = end = 0.0
    switches, sent = 0, 0.0

    def fetched(worker: str, lora: int, at: float) -> float:
        nonlocal link, sent
        node = worker.partition("/")[0]
        if node == "0":
            return at
        if (node, lora) not in there:
            link = max(link, at) + times.lora_bytes / times.link
            sent += times.lora_bytes
            there[node, lora] = link
        return max(at, there[node, lora])

    free = [(0.0, worker, False) for worker in names]
    heapq.heapify(free)
    while free:
        now, worker, has_drawn = heapq.heappop(free)
        if has_drawn:
            handing.drawn(worker)
            driver = max(driver, now) + times.put
            sent += 0.0 if worker.startswith("0/") else times.picture_bytes
            end = max(end, driver)
            now = driver
        cell = handing.next(worker)
        if cell is None:
            continue
        begin = fetched(worker, cell[0] // strengths, now)
        if live[worker] != cell[0]:
            live[worker] = cell[0]
            begin += times.switch
            switches += 1
        if (ahead := handing.ahead(worker)) is not None:
            fetched(worker, ahead[0] // strengths, begin)
        took = times.draw * chance.uniform(0.97, 1.03)
        drawing += took
        heapq.heappush(free, (begin + took, worker, True))
    return Outcome(end, 1 - drawing / (end * len(names)), switches, sent)


def sweep_of(loras: int, strengths: int, seeds: int) -> Groups:
    """Cells by stacks: every LoRA at every strength, with every seed."""
    stacks = range(loras * strengths)
    return [(stack, [(stack, seed) for seed in range(seeds)]) for stack in stacks]


def plot(series: dict[str, list[tuple[int, float]]], path: Path, title: str, most: int) -> None:
    """Speed over workers as an SVG, both on scales of doublings."""
    width, height, left, low = 640, 420, 60, 360
    colours = ("#8a8f98", "#d08a2e", "#2e8ad0")
    steps = [1 << n for n in range(most.bit_length()) if 1 << n <= most]

    def x(count: float) -> float:
        return left + (width - left - 20) * _doublings(count) / _doublings(most)

    def y(speed: float) -> float:
        return low - (low - 50) * max(0.0, _doublings(max(speed, 1.0))) / _doublings(most)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="24" font-size="15">{title}</text>',
        f'<line x1="{x(1)}" y1="{y(1)}" x2="{x(most)}" y2="{y(most)}" stroke="#ccc"/>',
    ]
    for step in steps:
        parts.append(f'<text x="{x(step)}" y="{low + 18}" text-anchor="middle">{step}</text>')
        parts.append(f'<text x="{left - 8}" y="{y(step) + 4}" text-anchor="end">{step}×</text>')
    for number, (name, points) in enumerate(series.items()):
        line = " ".join(f"{x(count):.1f},{y(speed):.1f}" for count, speed in points)
        colour = colours[number % len(colours)]
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        words = f'<text x="{left + 20}" y="{70 + 20 * number}" fill="{colour}">{name}</text>'
        parts.append(words)
    parts.append(f'<text x="{width / 2}" y="{height - 16}" text-anchor="middle">workers</text>')
    path.write_text("\n".join((*parts, "</svg>", "")), encoding="utf-8")


def _doublings(value: float) -> float:
    from math import log2

    return log2(value)
