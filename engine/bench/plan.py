"""The measurements of a run in their order, and how long those to come will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from engine.bench.results import BenchReport

_FIRST_GUESS = 2.0
"""How many times its predicted seconds a measurement takes, before one was made."""


@dataclass(frozen=True)
class Step:
    """One measurement, which adds what it finds to a report."""

    words: str
    cost: float
    """Seconds by the machine's limits; what is really needed is learned from the steps before."""
    do: Callable[[BenchReport], BenchReport]


def in_order(steps: Sequence[Step]) -> Iterator[tuple[Step, float]]:
    """Each step, with the seconds that it and all after it will take.

    The consumer does the step before it asks for the next.
    """
    start = time.monotonic()
    done, left = 0.0, sum(step.cost for step in steps)
    for step in steps:
        yield step, left * ((time.monotonic() - start) / done if done else _FIRST_GUESS)
        done += step.cost
        left -= step.cost
