"""A host of an older version: its queue is left to it, then it may be replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from engine.host.runtime import HostError, HostPlace, NoAnswerError
from engine.protocol.text import plural
from engine.words.clean import clean_line
from tui_loraswitch.app.dialogs import ask
from tui_loraswitch.panes.messages import OlderHostFound

if TYPE_CHECKING:
    from tui_loraswitch.app.app_base import AppBase

LOOK_SECONDS = 1.0
"""Between two looks at its queue."""


def watch_queue(
    place: HostPlace,
    post: Callable[[OlderHostFound], object],
    wait: Callable[[float], bool],
) -> bool:
    """Tell how many pictures it still has, until none is left; on a thread of its own.

    `wait` sleeps, and returns True when the app is closing. False where the host has ended.
    """
    from engine.client.remote import host_status

    last = None
    while not wait(LOOK_SECONDS if last is not None else 0):
        try:
            status = host_status(place)
        except HostError:
            return False
        found = OlderHostFound(clean_line(str(status.get("version")), 40), _pictures_left(status))
        if found.left != last:
            post(found)
        last = found.left
        if not last:
            break
    return True


def stop_if_empty(place: HostPlace) -> None:
    """End it, unless somebody has given it work since; raises `HostError` where it lives on."""
    from engine.client.remote import host_status, stop_host

    with suppress(NoAnswerError):
        if not _pictures_left(host_status(place)):
            stop_host(place)


def _pictures_left(status: Mapping[str, Any]) -> int:
    jobs = status.get("queue")
    if not isinstance(jobs, list):
        return 0
    return sum(isinstance(job, dict) and job.get("state") in ("waiting", "running") for job in jobs)


def say_older(app: AppBase, found: OlderHostFound, replace: Callable[[], object]) -> None:
    """Say that it is older, and offer to replace it when nothing is left for it to draw."""
    who = f"older engine ({found.version})"
    if found.left:
        app.main.status.show_away(f"an older engine draws {plural(found.left, 'picture')}")
        app.warn(f"an {who} runs: replace it when its queue is empty; loraswitch stop ends it now")
        return
    app.main.status.show_away("an older engine")
    answers = {"replace it": replace, "leave it: L asks again": lambda: None}
    ask(app, f"An {who} has nothing to draw.", answers)
