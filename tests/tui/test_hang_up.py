"""A terminal that goes away ends the app, though no signal says so."""

from __future__ import annotations

import os
import threading

import pytest

from tui_loraswitch.app.hang_up import HangUp


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was called on the way out, and the exit code last."""
    monkeypatch.setattr("tui_loraswitch.app.hang_up.GRACE", 0.0)
    return []


def test_a_terminal_that_hangs_up_without_a_signal(
    ended: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    monkeypatch.setattr("os._exit", lambda code: (ended.append(code), done.set()))
    master, terminal = os.openpty()
    hang_up = HangUp(lambda: ended.append("saved"), lambda: ended.append("left"))
    hang_up.watch(terminal)
    assert not ended
    os.close(master)
    assert done.wait(10)
    hang_up.forget()
    os.close(terminal)
    assert ended == ["saved", "left", 129]


def test_nothing_is_watched_once_the_app_has_left(
    ended: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os._exit", ended.append)
    before = set(threading.enumerate())
    master, terminal = os.openpty()
    hang_up = HangUp(lambda: ended.append("saved"), lambda: ended.append("left"))
    hang_up.watch(terminal)
    (watcher,) = set(threading.enumerate()) - before
    hang_up.forget()
    watcher.join(10)
    os.close(master)
    os.close(terminal)
    assert (watcher.is_alive(), ended) == (False, [])
