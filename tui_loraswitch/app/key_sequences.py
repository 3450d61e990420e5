"""Keys pressed one after the other, and counts before a key, as in Vim."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from textual import events
from textual.binding import ActiveBinding

from tui_loraswitch.look.key_names import in_short

MOST = 999
"""The highest count."""
_REPEATED = frozenset(
    f"{pane}.{name}"
    for pane, names in {
        "library": "down up pagedown pageup half-down half-up next-lora previous-lora",
        "stack": "down up",
        "details": "down up",
        "picture": "earlier later",
        "app": "stronger weaker finer-stronger finer-weaker next-pane previous-pane",
    }.items()
    for name in names.split()
)
"""What a count repeats; others are done once."""
_TO_ROW = ("library.first", "library.last")
"""What a count makes a jump to the row of that number."""

Hint = Sequence[tuple[str, str]]
"""What the next key may be, and what it does."""


class KeySequences:
    """Knows which keys have been pressed of a sequence.

    `bindings` gives the keys that work now; a sequence is among them with spaces between its keys.
    `run` does what one of them says; `jump` goes to a row; `show` tells what may come next.
    """

    def __init__(
        self,
        bindings: Callable[[], Mapping[str, ActiveBinding]],
        run: Callable[[ActiveBinding, int], object],
        jump: Callable[[int], object],
        show: Callable[[Hint], object],
    ) -> None:
        self._bindings = bindings
        self._run = run
        self._jump = jump
        self._show = show
        self.has_counts = self.has_sequences = False
        self._keys: tuple[str, ...] = ()
        self._count = 0

    def forget(self) -> None:
        """Begin anew, as where a text has the focus."""
        if self._keys or self._count:
            self._keys, self._count = (), 0
            self._show(())

    def take(self, event: events.Key) -> bool:
        """Whether the key was part of a sequence or a count; others go their way."""
        if not (self.has_counts or self.has_sequences):
            return False
        if self.has_counts and not self._keys and event.key.isdecimal():
            digits = self._count * 10 + int(event.key)
            if digits:  # 0 alone is a key as others
                self._count = min(digits, MOST)
                self._show(((str(self._count), "times"),))
                return True
        keys, bindings = " ".join((*self._keys, event.key)), self._bindings()
        if later := {key: one for key, one in bindings.items() if key.startswith(f"{keys} ")}:
            self._keys = (*self._keys, event.key)
            start = len(keys) + 1
            self._show(
                [(in_short(key[start:]), one.binding.description) for key, one in later.items()]
            )
            return True
        is_inside, count = bool(self._keys), self._count
        self.forget()
        active = bindings.get(keys)
        if active is None:
            return is_inside or (count > 0 and event.key == "escape")
        if not is_inside and not count:
            return False
        if count and active.binding.id in _TO_ROW:
            self._jump(count - 1)
        else:
            self._run(active, count if count and active.binding.id in _REPEATED else 1)
        return True
