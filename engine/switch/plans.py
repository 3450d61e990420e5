"""Plans of the last stacks on a GPU: what a switch between stacks seen before need not work out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from engine.lora.families import Adapter
from engine.lora.file import LoraFile
from engine.protocol.refs import LoraRef
from engine.switch.plan import Identity, Terms, WeightName, combine
from engine.switch.ready import Find, ReadyMerge

MOST = 32
MOST_STEPS = 8

Member = tuple[LoraRef, LoraFile, Mapping[WeightName, Adapter]]


Identities = Mapping[WeightName, tuple[Identity, ...]]
"""What the value of every changed weight depends on; not to be changed once it is made."""


class Step(NamedTuple):
    """What a switch writes."""

    changed: Sequence[WeightName]
    """Weights to merge."""
    leaving: Sequence[WeightName]
    """Weights that go back to W0."""


@dataclass
class StackPlan:
    """A stack's terms, and of every weight that it changes what its value depends on."""

    terms: Terms
    identities: Identities
    ready: ReadyMerge | None = None
    """Its merge by kernels, where that was made ready."""
    steps: OrderedDict[int, tuple[Identities, Step]] = field(default_factory=OrderedDict)
    """The last steps from other stacks, by what was live there, which is kept beside them."""

    @classmethod
    def of(cls, members: Sequence[Member]) -> StackPlan:
        """Work the plan of a stack out."""
        terms = combine(members)
        identities = {n: tuple([term.identity for term in parts]) for n, parts in terms.items()}
        return cls(terms, identities)

    def ready_for(self, changed: Sequence[WeightName]) -> ReadyMerge | None:
        """Its merge by kernels, if all of its weights are to be merged."""
        ready = self.ready
        return ready if ready and ready.names and len(changed) == len(self.terms) else None

    def step_from(self, before: Identities) -> Step:
        """What is to be written where the weights of `before` are live; worked out once."""
        known = self.steps.pop(id(before), None)
        if known is None:
            wanted = self.identities
            changed = [name for name in wanted if wanted[name] != before.get(name)]
            known = before, Step(changed, [name for name in before if name not in wanted])
        self.steps[id(before)] = known
        while len(self.steps) > MOST_STEPS:
            self.steps.popitem(last=False)
        return known[1]


class Plans:
    """Keeps the plans of the last stacks, by their adapters on the GPU and their strengths.

    A plan keeps these adapters, so all are to be forgotten when one makes room on the GPU.
    """

    def __init__(self) -> None:
        self._plans: OrderedDict[object, tuple[list[object], StackPlan]] = OrderedDict()

    def of(self, members: Sequence[Member], live: Find, device: torch.device) -> StackPlan:
        """The plan of a stack, with its merge on a device made ready."""
        key = tuple((id(adapters), file.stamp, *_strengths(ref)) for ref, file, adapters in members)
        found = self._plans.pop(key, None)
        if found is None:
            plan = StackPlan.of(members)
            plan.ready = _made_ready(plan.terms, live, device)
            # Kept, so that no other adapters come to have the same identity.
            found = [adapters for _, _, adapters in members], plan
        self._plans[key] = found
        while len(self._plans) > MOST:
            self._plans.popitem(last=False)
        return found[1]

    def clear(self) -> None:
        """Forget all plans, and let go of the adapters."""
        self._plans.clear()


def _made_ready(terms: Terms, live: Find, device: torch.device) -> ReadyMerge | None:
    """The merge of a stack; None where there is nothing, or no memory on the GPU for it."""
    try:
        return ReadyMerge(terms, live, device) if terms else None
    except torch.OutOfMemoryError:
        return None


def _strengths(ref: LoraRef) -> tuple[object, ...]:
    return ref.unet, ref.text_encoder, ref.text_encoder_2_strength, ref.blocks
