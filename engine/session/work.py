"""What the engine's thread does next: the order in which waiting things take their turn."""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass, field

from engine.protocol.commands import KeepAudition, Load, Prefetch, SetBackup, Unload, Verify
from engine.protocol.events import CommandName
from engine.protocol.jobs import Job
from engine.protocol.request import GenerateRequest
from engine.protocol.stack_edits import Stack
from engine.protocol.view import EngineView

Upkeep = Load | Unload | SetBackup | Verify | KeepAudition
"""Commands about the model itself, or about what it drew; they are done in the order in which they
came."""

_NAMES: dict[type[Upkeep], CommandName] = {
    Load: "load",
    Unload: "unload",
    SetBackup: "set_backup",
    Verify: "verify",
    KeepAudition: "keep",
}


@dataclass(frozen=True)
class UpkeepWork:
    """A command about the model itself."""

    id: str
    command: Upkeep
    after: frozenset[str] = frozenset()
    """Jobs that need the model of before, and so go first."""

    @property
    def name(self) -> CommandName:
        """Which command this is."""
        return _NAMES[type(self.command)]


@dataclass(frozen=True)
class SwitchWork:
    """Make a stack live: a wish, or (without an id) the wanted stack again after a job's own."""

    id: str | None
    stack: Stack
    name: CommandName = "switch"


@dataclass(frozen=True)
class DrawWork:
    """Draw what is left of a job."""

    job: Job
    name: CommandName = "draw"

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.id


@dataclass(frozen=True)
class PrefetchWork:
    """Read a LoRA ahead."""

    id: str
    command: Prefetch
    name: CommandName = "prefetch"


@dataclass(frozen=True)
class AuditionWork:
    """Draw a picture to look at."""

    id: str
    request: GenerateRequest
    stack: Stack
    name: CommandName = "audition"


@dataclass(frozen=True)
class AheadWork:
    """Draw a picture that may be looked at next."""

    id: str
    request: GenerateRequest
    stack: Stack
    name: CommandName = "audition"

    def is_for(self, work: AuditionWork | AheadWork | None) -> bool:
        """Whether this is the picture that is asked for there."""
        return work is not None and (work.request, work.stack) == (self.request, self.stack)


Work = UpkeepWork | SwitchWork | DrawWork | AuditionWork | PrefetchWork | AheadWork


@dataclass
class Waiting:
    """What waits beside the view's jobs. Whoever holds the session's lock may use it."""

    upkeep: deque[UpkeepWork] = field(default_factory=deque)
    home: Load | None = None
    """How to open the users' model again, while a job has its own open or tried to."""
    wish: str | None = None
    """The command that asked for the wanted stack, until that was tried."""
    audition: AuditionWork | None = None
    """The newest one; there is no other."""
    prefetch: PrefetchWork | None = None
    ahead: AheadWork | None = None
    tried: Stack = ()
    """The stack that was last asked of the model: by a wish or by a job, whether it was taken."""

    def take(self, view: EngineView) -> Work | None:
        """Remove and return what is to be done next; None when there is nothing.

        Commands about the model go first, but another model waits for the jobs of the one before;
        then a new wish, since somebody looks at it; then the jobs; then the users' model again,
        where a job left its own; then a picture to look at; then the wanted stack again; at last
        what may be of use later.
        """
        if self.upkeep and _is_due(self.upkeep[0], view):
            return self.upkeep.popleft()
        if view.model is None:
            # A job's own model could not be opened, and the users' had given way to it.
            return self._way_home()
        if self.wish is not None:
            work = SwitchWork(self.wish, view.wanted)
            self.wish = None
            return work
        if view.waiting and not view.paused:
            return DrawWork(view.waiting[0])
        if self.home is not None:
            return self._way_home()
        if self.audition is not None:
            audition, self.audition = self.audition, None
            return audition
        if view.wanted != self.tried:
            return SwitchWork(None, view.wanted)
        if self.prefetch is not None:
            prefetch, self.prefetch = self.prefetch, None
            return prefetch
        ahead, self.ahead = self.ahead, None
        return ahead

    def _way_home(self) -> UpkeepWork | None:
        home, self.home = self.home, None
        return UpkeepWork(uuid.uuid4().hex, home) if home is not None else None

    def delays(self, work: Work, view: EngineView) -> bool:
        """Whether something waits that must not wait for reading ahead, or for a look.

        A wish that needs the same file is no reason to begin reading it anew.
        """
        if isinstance(work, AuditionWork):
            asked = self.upkeep or self.wish or self.audition
            return bool(asked) or bool(view.waiting and not view.paused)
        if isinstance(work, AheadWork):
            others = [one for one in (self.audition, self.ahead) if one and not work.is_for(one)]
            return bool(self.upkeep or self.wish or others or (view.waiting and not view.paused))
        if not isinstance(work, PrefetchWork):
            return False
        if self.upkeep or (view.waiting and not view.paused):
            return True
        if self.wish is not None or self.audition is not None:
            wanted = view.wanted if self.wish is not None else ()
            looked_at = self.audition.stack if self.audition is not None else ()
            return all(ref.path != work.command.ref.path for ref in (*wanted, *looked_at))
        return self.prefetch is not None and self.prefetch.command.ref != work.command.ref


def _is_due(work: UpkeepWork, view: EngineView) -> bool:
    """Whether no job that can be drawn now must go before it."""
    if view.model is None or view.paused:
        return True
    return not any(job.id in work.after for job in view.waiting)
