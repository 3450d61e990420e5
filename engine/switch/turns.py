"""One thread at a time: the lock over the methods of an object that several threads may use."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from engine.errors import SwitchError

P = ParamSpec("P")
R = TypeVar("R")


class Turn:
    """Whose turn it is with an object.

    A process that is forked has one thread: the turn of any other ends there.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.busy = False
        """Whether a method is at work."""
        self._held = False
        _TURNS.add(self)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep the turn over several calls. Raises `SwitchError` where this thread has it."""
        with self.lock:
            if self._held or self.busy:
                raise SwitchError(
                    "This thread holds the switcher already; two tasks of one thread (asyncio) "
                    "must not hold it at once: give each a thread."
                )
            self._held = True
            try:
                yield
            finally:
                self._held = False

    def begin_anew(self) -> None:
        """Be nobody's turn, whoever had it."""
        self.lock, self.busy, self._held = threading.RLock(), False, False


class HasTurn(Protocol):
    """An object with methods for one thread at a time."""

    _turn: Turn


S = TypeVar("S", bound=HasTurn)


def one_at_a_time(
    method: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[S, P], R]:
    """Let a method wait until no other thread is in one that is marked so.

    A call from within such a call (by a callback) raises `SwitchError`: it would meet the object in
    the middle of its work.
    """

    @wraps(method)
    def alone(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        turn = self._turn
        # A lock of C's: no interrupt comes between its taking and the block, nor while waiting
        # for it does one leave it taken.
        with turn.lock:
            if turn.busy:
                raise SwitchError(
                    "The switcher was called from within one of its own calls; nothing was done."
                )
            turn.busy = True
            try:
                return method(self, *args, **kwargs)
            finally:
                turn.busy = False

    return alone


_TURNS: weakref.WeakSet[Turn] = weakref.WeakSet()


def _after_fork() -> None:
    for turn in tuple(_TURNS):
        turn.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
