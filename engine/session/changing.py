"""Stacks that change while a picture is drawn: over the steps, and from region to region."""

from __future__ import annotations

import traceback
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

from engine.generate.regions import regions_of
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.protocol.stack_edits import Stack
from engine.switch.switcher import LoraSwitcher
from engine.words.course import STEADY


class ChangingStack:
    """The stack of every call of the UNet, which is made live before the call.

    `stacks` are those of the regions; between two calls only the weights are written that differ.
    """

    def __init__(self, switcher: LoraSwitcher, stacks: Sequence[Stack], steps: int) -> None:
        self._switcher = switcher
        self._stacks = [_over(stack, steps) for stack in stacks]
        self._step = 0

    @property
    def at_step(self) -> tuple[Stack, ...]:
        """The stack of each region at the step that is being drawn."""
        return tuple(stacks[self._step] for stacks in self._stacks)

    def use(self, step: int, region: int) -> None:
        """Make the stack of a step and a region live, both counted from 0."""
        self._step = step
        stack = self._stacks[region][step]
        if stack != self._switcher.stack:
            self._switcher.apply(stack)

    def text_at(self, step: int, region: int) -> Hashable:
        """Equal for two places whose text encoders have equal weights."""
        return tuple(
            (ref.path, ref.text_encoder, ref.text_encoder_2_strength, ref.blocks)
            for ref in self._stacks[region][step]
            if ref.text_encoder or ref.text_encoder_2_strength
        )


@contextmanager
def changing_stack(
    switcher: LoraSwitcher, request: GenerateRequest
) -> Iterator[tuple[ChangingStack | None, ChangingStack | None]]:
    """The stacks of both passes of a picture that needs several, None where one is for all of it.

    At the end the stack that was live is live again, bit for bit, whatever happened inside. Raises
    `EngineError` for regions that cannot be read, and what a switch raises.
    """
    stack, hires, second = switcher.stack, request.hires, request.second_pass
    own = _by_region(stack, request)
    over = stack if hires is None or hires.stack is None else hires.stack
    of_hires = _by_region(over, second) if second else []
    members = list(dict.fromkeys(ref for one in (*own, *of_hires) for ref in one))
    if {stack, *own, *of_hires} == {stack} and all(ref.course == STEADY for ref in members):
        yield None, None
        return
    for ref in members:
        switcher.prefetch(ref)
    try:
        first = ChangingStack(switcher, own, request.drawn_steps)
        yield first, ChangingStack(switcher, of_hires, second.steps) if second else None
    except BaseException as error:
        # What the failed drawing holds would take the memory that the way back needs.
        traceback.clear_frames(error.__traceback__)
        raise
    finally:
        if switcher.stack != stack or switcher.state == "recovering":
            switcher.apply(stack)


def _by_region(stack: Stack, request: GenerateRequest) -> list[Stack]:
    """The stack of each prompt: first that of the base, where there is one, then the regions'."""
    regions = regions_of(request)
    own: list[Stack] = [()] if regions.base or not regions.regions else []
    own += request.region_stacks or ((),) * len(regions.regions)
    return [(*stack, *members) for members in own]


def _over(stack: Stack, steps: int) -> list[Stack]:
    """The stack at each step, without the members that have no strength there."""
    members = [ref.over(steps) for ref in stack]
    return [tuple(refs[step] for refs in members if _counts(refs[step])) for step in range(steps)]


def _counts(ref: LoraRef) -> bool:
    return any((ref.unet, ref.text_encoder, ref.text_encoder_2_strength))
