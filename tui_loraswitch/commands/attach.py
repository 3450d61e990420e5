"""Get the engine of a host that runs, of one that is started for the app, or of this process."""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.client.engine import Engine
from engine.host.runtime import HostPlace, NoAnswerError
from tui_loraswitch.commands.hosts import serve_arguments
from tui_loraswitch.commands.places import host_log_path, index_path, store_path
from tui_loraswitch.config.settings import AppSettings

ATTACH_SECONDS = 30.0
_POLL_SECONDS = 0.1


def connected(place: HostPlace | None, on_lost: Callable[[str], None]) -> Engine:
    """The engine of the host at `place`, or (None) a new one in this process."""
    if place is None:
        from engine.session import Session

        return Session(index=index_path(), store=store_path())
    from engine.client.remote import RemoteEngine

    return RemoteEngine(place, on_lost)


def attach_to_host(
    place: HostPlace, settings: AppSettings, on_lost: Callable[[str], None]
) -> Engine:
    """Attach to the host at `place`, started when none is there. Raises `HostError`.

    A host that was killed holds its lock until the system has taken all its memory back; so whoever
    gets no answer looks again for a while.
    """
    from engine.client.spawn import spawn_host

    end = time.monotonic() + ATTACH_SECONDS
    while True:
        if not place.is_alive():
            spawn_host(place, serve_arguments(settings), host_log_path(place.name))
        try:
            return connected(place, on_lost)
        except NoAnswerError:
            if time.monotonic() > end:
                raise
            time.sleep(_POLL_SECONDS)
