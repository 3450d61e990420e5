"""Changes of the stack that are on their way to the engine."""

from __future__ import annotations

from collections.abc import Callable

from engine.protocol.stack_edits import Stack


class PendingEdits:
    """What was asked for and is not in the engine's view yet, in order.

    Keys can be quicker than a host's answers: the next key counts on what the one before asked.
    """

    def __init__(self) -> None:
        self._edits: dict[str, Callable[[Stack], Stack]] = {}

    def add(self, id: str, edit: Callable[[Stack], Stack]) -> None:
        """Note a change under its command's id."""
        self._edits[id] = edit

    def drop_until(self, id: str | None) -> None:
        """Forget the change of this command, and those before it: they are taken in order."""
        if id in self._edits:
            names = list(self._edits)
            for name in names[: names.index(id) + 1]:
                del self._edits[name]

    def clear(self) -> None:
        """Forget all."""
        self._edits.clear()

    def applied(self, stack: Stack) -> Stack:
        """The stack as it will be when the engine has taken them."""
        for edit in self._edits.values():
            stack = edit(stack)
        return stack
