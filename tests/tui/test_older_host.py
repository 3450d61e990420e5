"""An older host is left its queue, and then may be replaced."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.client import spawn
from engine.host.runtime import FOLDER_VARIABLE, HostError, HostPlace, OlderHostError, place_of
from engine.protocol.codec import VERSION
from engine.protocol.commands import Load
from engine.protocol.frames import LENGTH, framed
from tui_loraswitch.app import older_host
from tui_loraswitch.app.app import LoraSwitchApp
from tui_loraswitch.app.services import Services
from tui_loraswitch.commands.attach import attach_to_host
from tui_loraswitch.screens.question import QuestionScreen

JOB = {"id": "a", "state": "waiting", "prompt": "a fox"}
SET_ASIDE = {"id": "b", "state": "set aside", "prompt": "a fox"}


class OtherHost:
    """A host that speaks another protocol, as far as all versions agree on it."""

    def __init__(self, place: HostPlace, protocol: int = VERSION - 1) -> None:
        self.place, self.protocol = place, protocol
        self.queue: list[dict[str, Any]] = [SET_ASIDE]
        self.asked: list[str] = []
        self._listening = threading.Event()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._listening.wait(20)

    def _run(self) -> None:
        with self.place.held() as ours, socket.socket(socket.AF_UNIX) as listener:
            assert ours
            listener.bind(str(self.place.socket))
            listener.listen()
            listener.settimeout(0.05)
            self._listening.set()
            while not self._ends.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    self._answer(connection)
        self.place.socket.unlink()

    def _answer(self, connection: socket.socket) -> None:
        (length,) = LENGTH.unpack(connection.recv(LENGTH.size))
        want = json.loads(connection.recv(length))["want"]
        self.asked.append(want)
        hello: dict[str, Any] = {"loraswitch": "0.0.9", "protocol": self.protocol}
        if want == "attach":
            hello["refused"] = "This host speaks another protocol."
        else:
            hello["status"] = {"name": self.place.name, "pid": 1, "queue": self.queue}
        connection.sendall(framed(json.dumps(hello).encode()))
        if want == "stop":
            self._ends.set()

    def end(self) -> None:
        self._ends.set()
        self._thread.join(20)


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> HostPlace:
    folder: Path = tmp_path_factory.mktemp("h")
    folder.chmod(0o700)
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    monkeypatch.setattr(older_host, "LOOK_SECONDS", 0.02)
    return place_of()


@pytest.fixture
def older(place: HostPlace) -> Iterator[OtherHost]:
    host = OtherHost(place)
    yield host
    host.end()


@pytest.fixture
def attach(place: HostPlace, settings, session, monkeypatch) -> Callable[[Any], Any]:
    """Attaches to the older host while it lives, and then to the engine of the test."""
    monkeypatch.setattr(spawn, "spawn_host", lambda *_: None)
    monkeypatch.setattr(Services, "_start_monitor", lambda self: None)

    def to_host(on_lost: Any) -> Any:
        if place.is_alive():
            return attach_to_host(place, settings, on_lost)
        return session

    return to_host


def texts(app: LoraSwitchApp) -> str:
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line) for line in lines)


async def until(pilot: Any, condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            return
        await pilot.pause(0.01)
    raise AssertionError("the condition was never met")


async def test_it_is_replaced_when_its_queue_is_empty(older, place, attach, settings, session):
    older.queue = [JOB, SET_ASIDE]
    app = LoraSwitchApp(settings, attach, place=place)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app.main.library.is_complete)
        await until(pilot, lambda: "an older engine draws 1 picture" in texts(app))
        assert app.screen is app.main
        older.queue = [SET_ASIDE]
        await until(pilot, lambda: isinstance(app.screen, QuestionScreen))
        await until(pilot, lambda: "An older engine (0.0.9) has nothing to draw." in texts(app))
        assert "stop" not in older.asked
        await pilot.press("enter")
        await until(pilot, lambda: session.sent(Load))
    assert older.asked.count("stop") == 1


async def test_it_is_left_alone_when_that_is_chosen_and_the_key_asks_again(
    older, place, attach, settings, session
):
    app = LoraSwitchApp(settings, attach, place=place)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.main.library.is_complete)
        await until(pilot, lambda: isinstance(app.screen, QuestionScreen))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.main)
        assert "an older engine" in texts(app)
        await pilot.press("L")
        await until(pilot, lambda: isinstance(app.screen, QuestionScreen))
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.screen is app.main)
    assert "stop" not in older.asked
    assert not session.sent(Load)


async def test_work_that_it_was_given_meanwhile_is_left_to_it(
    older, place, attach, settings, session
):
    app = LoraSwitchApp(settings, attach, place=place)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app.main.library.is_complete)
        await until(pilot, lambda: isinstance(app.screen, QuestionScreen))
        older.queue = [JOB]
        await pilot.press("enter")
        await until(pilot, lambda: "an older engine draws 1 picture" in texts(app))
        assert "stop" not in older.asked
        # It ends by itself: the next one is attached to.
        older.end()
        await until(pilot, lambda: session.sent(Load))


def test_a_newer_host_is_refused_and_never_replaced(place, settings):
    newer = OtherHost(place, VERSION + 1)
    with pytest.raises(HostError, match="another protocol") as refusal:
        attach_to_host(place, settings, lambda reason: None)
    assert not isinstance(refusal.value, OlderHostError)
    newer.end()
