"""Keys handled strictly one after the other, as a slow link delivers them in bunches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from textual import events
from textual.message_pump import MessagePump
from textual.worker import Worker, WorkerCancelled, WorkerFailed

PATIENCE = 1.0
"""Seconds after which the next key goes ahead although this one has no answer yet."""


Typed = events.Key | events.Paste


class KeyOrder:
    """Hands keys on one at a time, each when all that the one before set off is done.

    Textual forwards a key to the focused widget and takes the next one at once, so of `/` and `n`
    arriving together the `n` would still be a command and not the first letter of the filter.

    `opening` tells the workers that open dialogs: those that a key began end before the next key.
    """

    def __init__(
        self,
        handle: Callable[[Typed], Awaitable[None]],
        concerned: Callable[[], list[MessagePump]],
        opening: Callable[[], set[Worker[Any]]],
    ) -> None:
        self._handle = handle
        self._concerned = concerned
        self._opening = opening
        self._keys: asyncio.Queue[Typed] = asyncio.Queue()

    def put(self, key: Typed) -> None:
        """Take a key, or what is pasted, from the terminal."""
        self._keys.put_nowait(key)

    async def run(self) -> None:
        """Handle keys for ever."""
        while True:
            key = await self._keys.get()
            others, path = self._opening(), self._concerned()
            await self._handle(key)
            await self._settled()
            if begun := self._opening() - others:
                await asyncio.wait(map(_ended, begun), timeout=PATIENCE)
            if self._concerned() != path:
                await self._settled()

    async def _settled(self) -> None:
        # The first round lets messages rise from the widget to the app, the second lets what
        # the app did in answer (such as moving the focus) take effect.
        for _ in range(2):
            for pump in self._concerned():
                await _drained(pump)


async def _drained(pump: MessagePump) -> None:
    """Wait until the pump has handled every message it has now."""
    done = asyncio.Event()
    if pump.post_message(events.Callback(callback=done.set)):
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await done.wait()


def _ended(worker: Worker[Any]) -> asyncio.Task[None]:
    """Wait until the worker ends, in whatever way."""

    async def wait() -> None:
        with suppress(WorkerFailed, WorkerCancelled):
            await worker.wait()

    return asyncio.create_task(wait())
