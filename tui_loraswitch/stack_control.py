"""The stack the user wants and the stack that is live, kept in step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.refs import LoraRef

Stack = tuple[LoraRef, ...]


@dataclass(frozen=True)
class Wish:
    """What the user wants to be live: a stack, and what the prompt's tags add for its pictures."""

    stack: Stack = ()
    tagged: Stack = ()

    @property
    def whole(self) -> Stack:
        """All members; the strengths of a file that is in both add up."""
        return (*self.stack, *self.tagged)


@dataclass(frozen=True)
class StackView:
    """What panes show: the wanted stack, the live one, and whether a switch is under way."""

    wanted: Stack = ()
    live: Stack = ()
    switching: bool = False
    tagged: Stack = ()
    """The last of the wanted members: those that the prompt's tags name."""

    @property
    def pending(self) -> bool:
        """True while the live stack is not the wanted one."""
        return self.wanted != self.live

    def is_tagged(self, number: int) -> bool:
        """Whether a member of the wanted stack, by its place, is there for the prompt."""
        return number >= len(self.wanted) - len(self.tagged)


class StackControl:
    """Sends switches one at a time, so that held keys do not pile up behind a slow one.

    While a switch is under way only the newest wish is kept; it is sent when the answer comes.
    What a picture's tags added stays live until another stack or another picture is wanted, so
    that the same tags again cost no switch.
    """

    def __init__(self, send: Callable[[Stack], None]) -> None:
        self._send = send
        self._sent: deque[Wish] = deque()
        self._ready = False
        self._wish = Wish()
        self._fulfilled = Wish()
        self.live: Stack = ()
        self.strengths: dict[Path, LoraRef] = {}
        """The last strengths used of each file, for when it is chosen again."""

    @property
    def wanted(self) -> Stack:
        """The user's stack, without what the prompt's tags add."""
        return self._wish.stack

    @property
    def whole(self) -> Stack:
        """The user's stack with what the prompt's tags add."""
        return self._wish.whole

    @property
    def view(self) -> StackView:
        """The state as panes show it."""
        return StackView(self.whole, self.live, bool(self._sent), self._wish.tagged)

    def choose(self, stack: Stack) -> None:
        """Want exactly this stack."""
        self._wish = Wish(stack)
        self.strengths.update({Path(ref.path): ref for ref in stack})
        if self._ready and not self._sent:
            self._send_wish()

    def tag(self, tagged: Stack) -> None:
        """Want these beside the stack for the picture that follows; sent at once."""
        self._wish = Wish(self.wanted, tagged)
        self.flush()

    def toggle(self, ref: LoraRef) -> None:
        """Take a file out of the stack, or add it at the end."""
        rest = tuple(member for member in self.wanted if member.path != ref.path)
        self.choose(rest if len(rest) < len(self.wanted) else (*self.wanted, ref))

    def put(self, changed: LoraRef) -> None:
        """Give the member of the same file other strengths or block weights."""
        self.choose(
            tuple(changed if member.path == changed.path else member for member in self.wanted)
        )

    def flush(self) -> None:
        """Send the wish now even behind a running switch: what follows depends on it."""
        if self._ready and self.whole != (self._sent[-1].whole if self._sent else self.live):
            self._send_wish()

    def start(self) -> None:
        """A model is loaded, at its base: switches are possible now."""
        self._ready = True
        self._sent.clear()
        self.live = ()
        self._wish = Wish(self.wanted)
        self.flush()

    def pause(self) -> None:
        """A load was asked for: keep wishes until `start`, or until `resume` when it failed."""
        self._ready = False

    def resume(self) -> None:
        """The model that was there before stays."""
        self._ready = True
        if not self._sent:
            self.flush()

    def confirm(self) -> None:
        """The oldest switch sent has succeeded."""
        if self._sent:
            self._fulfilled = self._sent.popleft()
        if not self._sent:
            self.flush()

    def fail(self) -> None:
        """The oldest switch sent has failed.

        The wish falls back to the stack without tags, or else to what is live, unless a newer wish
        waits.
        """
        failed = self._sent.popleft() if self._sent else self._wish
        if self._wish == failed:
            self._wish = self._before(failed)
        if not self._sent:
            self.flush()

    def _before(self, failed: Wish) -> Wish:
        """What to want in place of a wish that cannot be."""
        if failed.tagged:
            return Wish(failed.stack)
        if self._sent:
            return self._sent[-1]
        return self._fulfilled if self._fulfilled.whole == self.live else Wish(self.live)

    def _send_wish(self) -> None:
        self._sent.append(self._wish)
        self._send(self.whole)
