"""The stack as panes show it: wanted, live, and what a job's prompt adds for a while."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from engine.errors import EngineError
from engine.protocol.stack_edits import Stack
from engine.protocol.view import EngineView
from engine.words.prompt_language.regions import tags_by_region


class StackView(Struct, frozen=True):
    """What panes show: the wanted stack, the live one, and whether a switch is under way."""

    wanted: Stack = ()
    live: Stack = ()
    switching: bool = False
    tagged: Stack = ()
    """The last of the wanted members: those of the running job alone."""

    @classmethod
    def of(cls, view: EngineView) -> StackView:
        """The stack of an engine, with what the running job's prompt adds to it."""
        job = view.running
        if job is None:
            is_live = view.wanted == view.live
            switching = view.working == "switch" or (view.model is not None and not is_live)
            return cls(view.wanted, view.live, switching)
        own = max(0, len(job.stack) - _count_tags(job.request.prompt))
        if job.stack[:own] != view.wanted:
            # Something else was wished since it was asked for, which waits until it is drawn.
            return cls(view.wanted, view.live)
        in_any_order = Counter(view.live) == Counter(job.stack)
        live = job.stack if in_any_order else view.live
        return cls(job.stack, live, not in_any_order, job.stack[own:])

    @property
    def pending(self) -> bool:
        """True while the live stack is not the wanted one."""
        return self.wanted != self.live

    def is_tagged(self, number: int) -> bool:
        """Whether a member of the wanted stack, by its place, is there for a job alone."""
        return number >= len(self.wanted) - len(self.tagged)


def _count_tags(prompt: str) -> int:
    """How many LoRAs a prompt names for all of the picture."""
    try:
        return len(tags_by_region(prompt)[0])
    except EngineError:
        return 0  # a prompt of another client, with which nothing can be drawn
