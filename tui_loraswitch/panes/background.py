"""Work beside the screen that nobody waits for at the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

from textual.worker import active_worker

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def in_background(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Give what `work` gives, or raise what it raises, on a daemon thread of its own.

    The threads of `asyncio.to_thread` are joined before the program can leave. One that reads from
    a network drive that is gone may never end.

    A worker whose widget is removed meanwhile is cancelled: what it would show that on is gone.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def finish(result: _T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    def run() -> None:
        result, fault = None, None
        try:
            result = work(*args, **kwargs)
        # Whatever it is, it is raised where the result is awaited.
        except BaseException as error:  # noqa: BLE001
            fault = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(finish, result, fault)

    threading.Thread(target=run, name=getattr(work, "__name__", "work"), daemon=True).start()
    try:
        return await future
    finally:
        worker = active_worker.get(None)
        if worker is not None and worker.node._pruning:
            raise asyncio.CancelledError
