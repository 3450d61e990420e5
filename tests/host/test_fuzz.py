"""Whatever is sent to a host, it answers or hangs up, and nobody else notices.

A few hundred attempts run with all tests; `LORASWITCH_FUZZ_MINUTES=10` goes on for as long.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.client.remote import host_status
from engine.host import server
from engine.host.saved import read_saved
from engine.protocol.codec import VERSION, encode_command
from engine.protocol.commands import SetDraft, SetStack
from engine.protocol.frames import framed
from engine.protocol.hello import client_hello
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from tests.host.conftest import RunningHost, Screen
from tests.protocol.messages import COMMANDS

MINUTES = float(os.environ.get("LORASWITCH_FUZZ_MINUTES", "0"))
ATTEMPTS = 300
MOST_GROWTH = 64 << 20
"""Bytes; what is sent in a long run is gigabytes."""
GOOD = framed(encode_command("a", SetStack((LoraRef("/loras/ink.safetensors"),))))
GREETING = framed(client_hello("attach"))


def garbage(chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice((0, 3, 40, 5_000, 200_000)))


def cut(chance: random.Random) -> bytes:
    return GREETING + GOOD[: chance.randrange(len(GOOD))]


def flipped(chance: random.Random) -> bytes:
    data = bytearray(GREETING + GOOD * chance.randint(1, 5))
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def huge(chance: random.Random) -> bytes:
    length = chance.choice((1 << 22, (1 << 22) + 1, 1 << 31, 0xFFFFFFFF))
    return GREETING + struct.pack(">I", length) + chance.randbytes(1000)


def other_version(chance: random.Random) -> bytes:
    hello = client_hello(chance.choice(("attach", "status")))
    wrong = str(chance.choice((VERSION + 1, -1, 10**30, 1.5))).encode()
    return framed(hello.replace(str(VERSION).encode(), wrong)) + GOOD


def nested(chance: random.Random) -> bytes:
    return GREETING + framed(chance.choice((b"\x91", b"\x81\xc0")) * chance.randint(1, 100_000))


ATTACKS: tuple[Callable[[random.Random], bytes], ...] = (
    garbage,
    cut,
    flipped,
    huge,
    other_version,
    nested,
)


def attack(host: RunningHost, data: bytes) -> None:
    """Send it all, as far as the host takes it, and wait until it hangs up."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(host.place.socket))
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass  # It had enough.


def test_nonsense_harms_nobody_and_takes_no_memory(
    host: RunningHost, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every attack is a line in the log, which is kept in memory while a test runs.
    monkeypatch.setattr(server.log, "disabled", True)
    screen = Screen(host.place)
    seed = time.time_ns() if MINUTES else 1
    chance = random.Random(seed)
    end, tried, before = time.monotonic() + 60 * MINUTES, 0, 0
    while tried < ATTEMPTS or time.monotonic() < end:
        attack(host, chance.choice(ATTACKS)(chance))
        tried += 1
        if tried == ATTEMPTS // 2:
            before = psutil.Process().memory_info().rss
        if tried % 100 == 0:
            draft = GenerateRequest(f"number {tried}", Path("/out"))
            screen.until_answered(screen.engine.send(SetDraft(draft)))
            screen.until(lambda draft=draft: screen.engine.view.draft == draft)
            assert host_status(host.place)["clients"] >= 1
            screen.heard.clear()
    assert not screen.lost
    assert psutil.Process().memory_info().rss - before < MOST_GROWTH
    screen.engine.close(5)
    if MINUTES:
        with capsys.disabled():
            sys.stdout.write(f"\n{tried:,} attacks with seed {seed}\n")


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(commands=st.lists(COMMANDS, min_size=1, max_size=6))
def test_commands_of_any_values_are_answered_and_what_is_kept_can_be_read(
    host: RunningHost, commands: list
) -> None:
    screen = Screen(host.place)
    for command in commands:
        screen.engine.send(command)
    last = GenerateRequest("last", Path("/out"))
    screen.until_answered(screen.engine.send(SetDraft(last)))
    assert not screen.lost
    view = screen.engine.view
    assert view.draft == last
    saved = read_saved(host.state)
    assert (saved.wanted, saved.jobs, saved.draft) == (view.wanted, view.jobs, view.draft)
    screen.engine.send(SetStack())
    screen.engine.close(5)
