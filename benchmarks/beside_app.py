"""How much the app slows a generation: the same pictures by the engine alone and under the app.

The demo draws pictures so large that a step takes as long as one of SDXL on a good GPU does. The
engine alone is a `Session` whose events nobody looks at; the app's is in its host. Both take turns,
so that a machine that grows slower does not favour one of them.
"""

from __future__ import annotations

import json
import math
import queue
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.demo_picture import wait
from benchmarks.terminal import Terminal, remember, started
from engine.protocol.commands import Draw, Load
from engine.protocol.events import Event, GenerationFinished, ModelLoaded
from engine.protocol.request import GenerateRequest
from engine.session import Session

STEPS = 50
SIDE = 256
PROMPT = "a red star"
ROUNDS = 5
IMAGES = ("off", "halfcell")
PICTURES = ("first picture", "second picture")
PATIENCE = 600.0
SETTLING_SECONDS = 2.0


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds of a picture each way, and what of a core the app takes meanwhile."""
    steps, rounds, ways = (1, 1, IMAGES[-1:]) if quick else (STEPS, ROUNDS, IMAGES)
    found: dict[str, list[float]] = {"alone": [], **{images: [] for images in ways}}
    shares: dict[str, list[tuple[float, float]]] = {images: [] for images in ways}
    for _ in range(rounds):
        found["alone"].append(_alone_in_a_process(steps))
        for images in ways:
            (seconds, first), (_, second) = _in_the_app(images, steps)
            found[images].append(seconds)
            shares[images].append((first, second))
    means = {way: statistics.mean(seconds) for way, seconds in found.items()}
    return {
        "steps": steps,
        "side": SIDE,
        "rounds": rounds,
        "step_ms_alone": round(1000 * means["alone"] / steps, 1),
        "app_share_of_a_core": {
            way: {
                picture: round(statistics.mean(share), 4)
                for picture, share in zip(PICTURES, zip(*some, strict=True), strict=True)
            }
            for way, some in shares.items()
        },
        "seconds": {way: round(value, 3) for way, value in means.items()},
        "to_alone": {way: round(means[way] / means["alone"], 3) for way in ways},
        "standard_error": {
            way: round(_error_of_quotient(found[way], found["alone"]), 3) for way in ways
        },
    }


def _error_of_quotient(above: list[float], below: list[float]) -> float:
    """Standard error of the quotient of two means."""
    quotient = statistics.mean(above) / statistics.mean(below)
    return quotient * math.hypot(_relative_error(above), _relative_error(below))


def _relative_error(seconds: list[float]) -> float:
    """Standard error of the mean, as a share of it."""
    if len(seconds) < 2:
        return 0.0
    return statistics.stdev(seconds) / math.sqrt(len(seconds)) / statistics.mean(seconds)


def alone(steps: int) -> float:
    """Seconds of the first picture of a session without an app."""
    events: queue.Queue[Event] = queue.Queue()
    session = Session(lambda message: events.put(message.event))
    session.send(Load(None, device="cpu"))
    wait(events, ModelLoaded)
    with tempfile.TemporaryDirectory() as folder:
        request = GenerateRequest(
            PROMPT, Path(folder), seed=7, steps=steps, width=SIDE, height=SIDE
        )
        start = time.perf_counter()
        session.send(Draw(request))
        wait(events, GenerationFinished)
        seconds = time.perf_counter() - start
    session.close(timeout=10)
    return seconds


def _alone_in_a_process(steps: int) -> float:
    command = [sys.executable, "-m", "benchmarks.beside_app", str(steps)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def _in_the_app(images: str, steps: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Of the first picture and the next: seconds from the key to the word of it, and the share.

    The share is the app's, of a core.
    """
    with tempfile.TemporaryDirectory() as home:
        remember(Path(home), prompt=PROMPT, steps=steps, width=SIDE, height=SIDE, seed=7)
        with started(Path(home), "--demo", "--images", images) as terminal:
            terminal.seconds_until("loaded ")
            return _drawn(terminal, "g", 1), _drawn(terminal, "r", 2)


def _drawn(terminal: Terminal, key: str, number: int) -> tuple[float, float]:
    terminal.bytes_within(SETTLING_SECONDS)
    before = terminal.thread_seconds()
    terminal.press(key)
    seconds = terminal.seconds_until(f"✓ picture {number:05}", PATIENCE)
    after = terminal.thread_seconds()
    return seconds, sum(after[one] - before.get(one, 0.0) for one in after) / seconds


if __name__ == "__main__":
    print(json.dumps(alone(int(sys.argv[1]))))
