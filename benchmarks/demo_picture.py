"""Seconds for a picture of the demo on the CPU: 20 steps, with guidance, encoding and saving."""

from __future__ import annotations

import queue
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, TypeVar

from engine.protocol.commands import Draw, Load
from engine.protocol.events import CommandFailed, Event, GenerationFinished, ModelLoaded
from engine.protocol.request import GenerateRequest
from engine.session import Session

Kind = TypeVar("Kind", bound=Event)
RUNS = 5
STEPS = 20
PROMPT = "a large red star on a blue background"


def measure(*, quick: bool) -> dict[str, Any]:
    """Load the demo and draw, one seed after another."""
    events: queue.Queue[Event] = queue.Queue()
    session = Session(lambda message: events.put(message.event))
    start = time.perf_counter()
    session.send(Load(None, device="cpu"))
    side = wait(events, ModelLoaded).model.default_size
    loading = time.perf_counter() - start
    seconds = []
    runs, steps = (1, 2) if quick else (RUNS, STEPS)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(runs):
            start = time.perf_counter()
            session.send(
                Draw(
                    GenerateRequest(
                        PROMPT, Path(folder), seed=seed, steps=steps, width=side, height=side
                    )
                )
            )
            wait(events, GenerationFinished)
            seconds.append(time.perf_counter() - start)
    session.close(timeout=10)
    return {
        "steps": steps,
        "picture_s": round(statistics.median(seconds), 2),
        "slowest_picture_s": round(max(seconds), 2),
        "load_with_imports_s": round(loading, 2),
    }


def wait(events: queue.Queue[Event], kind: type[Kind]) -> Kind:
    """Take events until one of a kind comes."""
    while not isinstance(event := events.get(timeout=120), kind):
        if isinstance(event, CommandFailed):
            raise RuntimeError(event.message)
    return event
