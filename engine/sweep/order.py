"""The order in which cells are drawn: the one with the fewest switches of LoRAs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

from engine.protocol.refs import LoraRef

Stack = Sequence[LoraRef]


def stack_identity(stack: Stack) -> Hashable:
    """Equal for two stacks between which nothing is to be switched: the order does not count."""
    return frozenset(Counter(stack).items())


def drawing_order(stacks: Sequence[Stack], live: Stack = ()) -> list[int]:
    """Numbers of the cells, given by their stacks, in an order with the fewest switches.

    Each stack is made once, so cells of one stand together; that which is live goes first. Stacks
    of the same files are neighbours, since a file that was just read is not read again. Otherwise
    the order is that of the plan.
    """
    groups: dict[Hashable, list[int]] = {}
    for number, stack in enumerate(stacks):
        groups.setdefault(stack_identity(stack), []).append(number)
    first_of_files: dict[Hashable, int] = {}
    for group in groups.values():
        first_of_files.setdefault(_files(stacks[group[0]]), group[0])

    def place(identity: Hashable) -> tuple[bool, int, int]:
        first = groups[identity][0]
        return identity != stack_identity(live), first_of_files[_files(stacks[first])], first

    return [number for identity in sorted(groups, key=place) for number in groups[identity]]


def count_switches(stacks: Iterable[Stack], live: Stack = ()) -> int:
    """How many switches it takes to draw these one after the other."""
    count, before = 0, stack_identity(live)
    for stack in stacks:
        now = stack_identity(stack)
        count += now != before
        before = now
    return count


def _files(stack: Stack) -> Hashable:
    return frozenset(ref.path for ref in stack)
