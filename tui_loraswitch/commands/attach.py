"""Get the app the host that runs, or one that is started for it."""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.client.engine import Engine
from engine.host.runtime import HostPlace, NoAnswerError
from tui_loraswitch.commands.engine_run import connected
from tui_loraswitch.commands.hosts import serve_arguments
from tui_loraswitch.commands.places import host_log_path
from tui_loraswitch.config.settings import AppSettings

ATTACH_SECONDS = 30.0
_POLL_SECONDS = 0.1


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
