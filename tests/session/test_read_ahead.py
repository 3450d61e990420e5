"""The next job's LoRAs are read while the one before it is drawn."""

from __future__ import annotations

import threading
from pathlib import Path

from engine.client.blocking import BlockingClient
from engine.errors import EngineError
from engine.protocol.commands import Draw, Load
from engine.protocol.events import (
    EventMessage,
    GenerationFinished,
    GenerationStep,
    ModelLoaded,
    Switched,
)
from engine.protocol.jobs import Job
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.session import Session
from engine.session.read_ahead import ReadAhead, next_loras
from engine.switch.switcher import LoraSwitcher

A, B, C = (LoraRef(f"/{name}.safetensors") for name in "abc")


def job(*stack: LoraRef, model: str | None = None) -> Job:
    request = GenerateRequest("a fox", Path("/out"))
    return Job("id", request, stack, Path(model) if model else None)


def test_which_are_next() -> None:
    assert next_loras([job(A), job(A, B), job(C)], job(A)) == (B,)
    assert next_loras([job(A.at(0.5))], job(A)) == ()
    assert next_loras([job(A)], job(A)) == ()
    assert next_loras([job(B, model="/other")], job(A)) == ()
    assert next_loras([], job(A)) == ()


def test_they_are_read_beside_and_stopped() -> None:
    ahead, reading, go_on = ReadAhead(), threading.Event(), threading.Event()
    read: list[LoraRef] = []

    def prefetch(ref: LoraRef, cancelled) -> None:
        read.append(ref)
        reading.set()
        assert go_on.wait(10)
        if cancelled():
            raise EngineError("cancelled")

    ahead.begin((A,), prefetch)
    assert reading.wait(10)
    ahead.begin((B,), prefetch)
    threading.Timer(0.01, go_on.set).start()
    ahead.stop()
    assert read == [A]
    ahead.begin((C,), prefetch)
    ahead.stop()
    assert read == [A, C]


def test_a_queue_of_loras_costs_no_reading_between_pictures(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path, monkeypatch
) -> None:
    is_read = threading.Event()
    prefetch = LoraSwitcher.prefetch

    def noted(self: LoraSwitcher, *rest) -> None:
        prefetch(self, *rest)
        is_read.set()

    monkeypatch.setattr(LoraSwitcher, "prefetch", noted)
    switches: list[Switched] = []
    client = BlockingClient(lambda message: None)

    def hear(message: EventMessage) -> None:
        if isinstance(message.event, Switched) and message.event.report.stack:
            switches.append(message.event)
        if isinstance(message.event, GenerationStep) and len(switches) == 1:
            assert is_read.wait(20)
        client.take(message)

    session = Session(hear)
    request = GenerateRequest("a fox", tmp_path, seed=1, steps=2, width=64, height=64)
    client.wait(client.send(session, Load(tiny_checkpoint, device="cpu")), ModelLoaded)
    names = ("neon", "styles/ink")
    stacks = [(LoraRef(tiny_loras / f"{name}.safetensors"),) for name in names]
    jobs = [client.send(session, Draw(request, stack)) for stack in stacks]
    for id in jobs:
        client.wait(id, GenerationFinished)
    session.close(20)
    assert [switched.report.found_in_memory for switched in switches] == [0, 1]
