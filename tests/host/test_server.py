"""Screens and scripts on one host: the same view for all, nonsense harms nobody."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.client.remote import RemoteEngine, host_status, stop_host
from engine.errors import EngineError
from engine.host import process
from engine.host.process import Host, HostOptions
from engine.host.runtime import HostError, HostPlace, living_hosts
from engine.host.saved import Saved, read_saved
from engine.protocol.codec import VERSION, encode_command
from engine.protocol.commands import (
    AdjustStrength,
    CancelJob,
    Draw,
    Load,
    PauseQueue,
    SetDraft,
    SetStack,
    ToggleLora,
)
from engine.protocol.events import CommandFailed, JobQueued
from engine.protocol.frames import LONGEST_COMMAND, framed
from engine.protocol.hello import client_hello
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.session import session as session_module
from tests.host.conftest import PATIENCE, RunningHost, Screen

NEON, INK = LoraRef("/loras/neon.safetensors"), LoraRef("/loras/ink.safetensors")
REQUEST = GenerateRequest("a fox", Path("/out"))


def raw(place: HostPlace) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(str(place.socket))
    return connection


def read_all(connection: socket.socket) -> bytes:
    data = b""
    while part := connection.recv(1 << 16):
        data += part
    return data


def first_frame(connection: socket.socket) -> bytes:
    (length,) = struct.unpack(">I", connection.recv(4, socket.MSG_WAITALL))
    return connection.recv(length, socket.MSG_WAITALL)


def test_two_screens_see_the_same_and_no_wish_is_lost(host: RunningHost) -> None:
    one, other = Screen(host.place), Screen(host.place)
    one.until(lambda: one.engine.view.clients == 2)
    one.engine.send(SetStack((NEON,)))
    one.until(lambda: one.engine.view.wanted == (NEON,))
    for screen in (one, other) * 5:
        screen.engine.send(AdjustStrength(NEON.path, 0.05))
    other.engine.send(ToggleLora(INK))
    wanted = (NEON.at(1.5), INK)
    one.until(lambda: one.engine.view.wanted == wanted)
    other.until(lambda: other.engine.view.wanted == wanted)
    other.engine.close(5)
    one.until(lambda: one.engine.view.clients == 1)
    late = Screen(host.place)
    assert late.engine.view.wanted == wanted
    late.engine.close(5)
    one.engine.close(5)


def test_a_command_is_answered_by_its_id(host: RunningHost) -> None:
    screen = Screen(host.place)
    id = screen.engine.send(Draw(REQUEST))
    answer = screen.until_answered(id)
    assert isinstance(answer.event, CommandFailed)
    assert "No model is loaded" in answer.event.message
    screen.engine.close(5)


def test_garbage_closes_one_connection_and_others_notice_nothing(host: RunningHost) -> None:
    screen = Screen(host.place)
    screen.until(lambda: screen.engine.view.clients == 1)
    chance = random.Random(1)
    for _ in range(40):
        with raw(host.place) as connection:
            connection.sendall(chance.randbytes(chance.randint(0, 300)))
            connection.shutdown(socket.SHUT_WR)
            read_all(connection)
    for _ in range(40):
        with raw(host.place) as connection:
            connection.sendall(framed(client_hello("attach")))
            good = bytearray(framed(encode_command("a", SetStack((INK,)))))
            good[chance.randrange(4, len(good))] ^= 1 << chance.randrange(8)
            connection.sendall(good[: chance.randrange(len(good))] + chance.randbytes(30))
            connection.shutdown(socket.SHUT_WR)
            read_all(connection)
    id = screen.engine.send(SetDraft(REQUEST))
    screen.until_answered(id)
    assert screen.engine.view.draft == REQUEST
    assert not screen.lost
    screen.engine.close(5)


@pytest.mark.parametrize("length", [LONGEST_COMMAND + 1, 0xFFFFFFFF])
def test_a_message_that_claims_to_be_huge_is_not_waited_for(host: RunningHost, length: int) -> None:
    with raw(host.place) as connection:
        connection.sendall(framed(client_hello("attach")))
        connection.sendall(struct.pack(">I", length))
        assert b"longer than" in read_all(connection)


def test_another_version_is_refused_by_name_but_may_ask_and_stop(
    host: RunningHost, place: HostPlace
) -> None:
    for want in ("attach", "status"):
        hello = {"loraswitch": "9.9", "protocol": VERSION + 1, "want": want}
        with raw(place) as connection:
            connection.sendall(framed(json.dumps(hello).encode()))
            answer = json.loads(first_frame(connection))
        if want == "attach":
            assert f"speaks protocol {VERSION}, not {VERSION + 1}" in answer["refused"]
        else:
            assert answer["status"]["pid"] == os.getpid()


@pytest.mark.parametrize(
    "hello", [b"", b"[]", b"{}", b'{"protocol": "1"}', b"[" * 60_000, b"\xff\xfe"]
)
def test_a_greeting_that_is_none_is_refused(host: RunningHost, hello: bytes) -> None:
    with raw(host.place) as connection:
        connection.sendall(framed(hello))
        assert b"no greeting" in read_all(connection)


def test_status_and_stop(place: HostPlace, tmp_path: Path) -> None:
    running = RunningHost(place, tmp_path / "host.json")
    assert living_hosts() == [place]
    status = host_status(place)
    assert (status["name"], status["protocol"], status["queue"]) == ("default", VERSION, [])
    stop_host(place)
    running._thread.join(20)
    assert not place.is_alive()
    assert not place.socket.exists()
    with pytest.raises(HostError, match="No host answers"):
        RemoteEngine(place, lambda reason: None)


def test_a_lost_host_is_told_once(place: HostPlace, tmp_path: Path) -> None:
    running = RunningHost(place, tmp_path / "host.json")
    screen = Screen(place)
    running.stop()
    screen.until(lambda: screen.lost)
    assert screen.lost == ["the host has ended"]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Models load until this is set, and are none then."""
    event = threading.Event()

    def import_worker() -> Any:
        event.wait(PATIENCE)
        raise EngineError("There is no model.")

    monkeypatch.setattr(session_module, "_import_worker", import_worker)
    yield event
    event.set()


def test_stack_queue_and_draft_are_there_again(
    place: HostPlace, tmp_path: Path, loads: threading.Event
) -> None:
    running = RunningHost(place, tmp_path / "host.json")
    screen = Screen(place)
    odd = LoraRef("/loras/caf\udce9.safetensors", 0.5)
    screen.engine.send(PauseQueue())
    screen.engine.send(Load(tmp_path / "gone.safetensors"))
    ids = [screen.engine.send(Draw(replace(REQUEST, seed=-1), (odd,))) for _ in range(3)]
    screen.engine.send(CancelJob(ids[1]))
    screen.engine.send(SetStack((odd,)))
    screen.until_answered(screen.engine.send(SetDraft(REQUEST)))
    before = screen.engine.view
    assert [job.id for job in before.jobs] == [ids[0], ids[2]]
    assert all(job.request.seed >= 0 for job in before.jobs), "the seed is known before it is drawn"
    loads.set()
    running.stop()
    again = RunningHost(place, tmp_path / "host.json")
    view = Screen(place).engine.view
    assert (view.jobs, view.wanted, view.draft) == (before.jobs, (odd,), REQUEST)
    assert view.paused
    assert again.host.session.last_load == Load(tmp_path / "gone.safetensors")
    again.stop()


def test_a_job_that_was_announced_is_on_the_disk(loads: threading.Event, host: RunningHost) -> None:
    screen = Screen(host.place)
    screen.engine.send(Load(Path("/gone.safetensors")))
    id = screen.engine.send(Draw(REQUEST))
    assert isinstance(screen.until_answered(id).event, JobQueued)
    assert [job.id for job in read_saved(host.state).jobs] == [id]
    screen.engine.close(5)
    loads.set()


def test_an_unreadable_state_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = tmp_path / "host.json"
    state.write_bytes(b'{"jobs": 7}')
    assert read_saved(state).jobs == ()
    assert (tmp_path / "host.unreadable.json").read_bytes() == b'{"jobs": 7}'
    assert "is kept as host.unreadable.json" in caplog.text


def test_states_that_are_too_large_are_set_aside_each_under_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.host.saved.LARGEST", 8)
    state = tmp_path / "host.json"
    for content in (b"1" * 9, b"2" * 9):
        state.write_bytes(content)
        assert read_saved(state) == Saved()
        assert not state.exists()
    assert (tmp_path / "host.unreadable.json").read_bytes() == b"1" * 9
    assert (tmp_path / "host.unreadable-2.json").read_bytes() == b"2" * 9


def test_a_pipe_in_the_place_of_the_state_is_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(tmp_path / "host.json")
    assert read_saved(tmp_path / "host.json") == Saved()
    assert "not a file but a pipe" in caplog.text


def test_options_say_where_the_state_is(tmp_path: Path) -> None:
    assert HostOptions(tmp_path / "x").idle_minutes == 60


def test_half_characters_do_not_keep_the_state_from_being_written(host: RunningHost) -> None:
    screen = Screen(host.place)
    odd = GenerateRequest("a \ud83d", Path("/out/caf\udce9"))
    host.host.session.send(SetDraft(odd))
    screen.until(lambda: screen.engine.view.draft is not None)
    assert read_saved(host.state).draft == replace(odd, prompt="a ?")
    screen.engine.close(5)


async def test_a_host_that_nobody_needs_ends_by_itself(
    place: HostPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "CHECK_SECONDS", 0.01)
    with place.held() as ours:
        assert ours
        host = Host(place, HostOptions(tmp_path / "host.json", idle_minutes=0.001))
        assert await asyncio.wait_for(host.run(takes_signals=False), PATIENCE)
    assert not place.socket.exists()


@pytest.mark.parametrize(
    ("minutes", "clients", "ends"), [(1, 0, True), (1, 1, False), (0, 0, False)]
)
async def test_it_goes_on_with_a_client_or_when_told_to(
    place: HostPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes, clients, ends
) -> None:
    now = [1000.0]
    monkeypatch.setattr(process.time, "monotonic", lambda: now[0])
    host = Host(place, HostOptions(tmp_path / "host.json", idle_minutes=minutes))
    server: Any = SimpleNamespace(clients=clients)
    assert not host._is_idle(server)
    now[0] += 59
    assert not host._is_idle(server)
    now[0] += 2
    assert host._is_idle(server) == ends
    assert host.session.close(PATIENCE)
