"""The stack the user wants and the stack that is live, kept in step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from engine.refs import LoraRef

Part = Literal["both", "unet", "text_encoder"]
Stack = tuple[LoraRef, ...]

MAX_STRENGTH = 5.0


@dataclass(frozen=True)
class StackView:
    """What panes show: the wanted stack, the live one, and whether a switch is under way."""

    wanted: Stack = ()
    live: Stack = ()
    switching: bool = False

    @property
    def pending(self) -> bool:
        """True while the live stack is not the wanted one."""
        return self.wanted != self.live


class StackControl:
    """Sends switches one at a time, so that held keys do not pile up behind a slow one.

    While a switch is under way only the newest wish is kept; it is sent when the answer comes.
    """

    def __init__(self, send: Callable[[Stack], None]) -> None:
        self._send = send
        self._sent: deque[Stack] = deque()
        self._ready = False
        self.wanted: Stack = ()
        self.live: Stack = ()
        self.strengths: dict[Path, LoraRef] = {}
        """The last strengths used of each file, for when it is chosen again."""

    @property
    def view(self) -> StackView:
        """The state as panes show it."""
        return StackView(self.wanted, self.live, bool(self._sent))

    def choose(self, stack: Stack) -> None:
        """Want exactly this stack."""
        self.wanted = stack
        self.strengths.update({Path(ref.path): ref for ref in stack})
        if self._ready and not self._sent:
            self._send_wanted()

    def toggle(self, ref: LoraRef) -> None:
        """Take a file out of the stack, or add it at the end."""
        rest = tuple(member for member in self.wanted if member.path != ref.path)
        self.choose(rest if len(rest) < len(self.wanted) else (*self.wanted, ref))

    def adjust(self, path: Path, delta: float, part: Part = "both") -> None:
        """Change the strength of one member, in steps of hundredths, within ±`MAX_STRENGTH`."""
        self.choose(
            tuple(
                _adjusted(member, delta, part) if Path(member.path) == path else member
                for member in self.wanted
            )
        )

    def flush(self) -> None:
        """Send the wish now even behind a running switch: what follows depends on it."""
        if self._ready and self.wanted != (self._sent[-1] if self._sent else self.live):
            self._send_wanted()

    def start(self) -> None:
        """A model is loaded, at its base: switches are possible now."""
        self._ready = True
        self._sent.clear()
        self.live = ()
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
            self._sent.popleft()
        if not self._sent:
            self.flush()

    def fail(self) -> Path | None:
        """The oldest switch sent has failed; returns the file to blame when there is just one.

        The wish falls back to what is live unless a newer wish waits.
        """
        failed = self._sent.popleft() if self._sent else self.wanted
        live_paths = {member.path for member in self.live}
        new = [Path(member.path) for member in failed if member.path not in live_paths]
        if self.wanted == failed:
            self.wanted = self._sent[-1] if self._sent else self.live
        elif not self._sent:
            self.flush()
        return new[0] if len(new) == 1 else None

    def _send_wanted(self) -> None:
        self._sent.append(self.wanted)
        self._send(self.wanted)


def _adjusted(ref: LoraRef, delta: float, part: Part) -> LoraRef:
    if part != "text_encoder":
        ref = replace(ref, unet=_bounded(ref.unet + delta))
    if part != "unet":
        second = ref.text_encoder_2
        ref = replace(
            ref,
            text_encoder=_bounded(ref.text_encoder + delta),
            text_encoder_2=None if second is None else _bounded(second + delta),
        )
    return ref


def _bounded(value: float) -> float:
    return round(max(-MAX_STRENGTH, min(MAX_STRENGTH, value)), 2)
