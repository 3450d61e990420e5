"""Switching at SDXL's full size: every tier beside its floor, and where the time of one goes."""

from __future__ import annotations

import tempfile
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.bench import Bench
from engine.bench.clock import median, seconds_of
from engine.bench.random_loras import write_random_loras
from engine.bench.results import BenchReport
from engine.bench.run import run_bench
from engine.bench.subject import Subject, random_subject
from engine.lora.cache import LoraCache
from engine.protocol.refs import LoraRef
from engine.switch.switcher import LoraSwitcher

RANK = 32
LARGE_RANK = 160
"""A file of 870 MiB."""

_AIMS = {
    ("A to B", "device"): 1.5,
    ("A to base", "device"): 1.2,
    ("A to B", "cpu"): 1.3,
    ("A to base", "cpu"): 1.3,
}
"""How many times its floor a switch is to take at most."""


def run(bench: Bench) -> None:
    """The first switch after the start, then all cases and tiers, then the parts of one switch."""
    with bench.trying("Python alone"):
        if bench.is_quick or find_spec("triton") is None:
            bench.skip("Python alone", "not in small, and not without Triton")
        else:
            import_module("benchmarks.gpu.python_alone").measure(bench)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rank = 4 if bench.is_quick else RANK
        subject = random_subject(
            folder, rank=rank, device=str(bench.device), small=bench.is_quick, loras=3
        )
        with bench.trying("the first switch after the start"):
            _first(bench, subject)
        with bench.trying("where the time goes"):
            _parts(bench, subject)
        with bench.trying("a large LoRA"):
            if not bench.is_quick:
                _large(bench, subject, folder)
        with bench.trying("tiers"):
            _tiers(bench, subject)


def _switcher(subject: Subject) -> LoraSwitcher:
    given: Any = subject.parts
    return LoraSwitcher(**given, backup="device", cache=LoraCache(8 << 30))


def _first(bench: Bench, subject: Subject) -> None:
    """Everything is in it that comes once: Triton's import, its compiling, the pinned memory."""
    start = time.perf_counter()
    switcher = _switcher(subject)
    made = time.perf_counter() - start
    bench.say("making the switcher", made, "s", note="fingerprints and the kernels' warm-up")
    seconds = seconds_of(lambda: switcher.apply(subject.loras[:1]), bench.device)
    bench.say("the first switch after the start", 1000 * seconds, "ms", predicted=120.0)
    switcher.apply(())


def _parts(bench: Bench, subject: Subject) -> None:
    """A warm A to B: Python until the last launch, and what the GPU itself is at."""
    switcher, (first, second) = _switcher(subject), subject.loras[:2]
    for ref in (first, second, first):
        switcher.apply((ref,))
    whole = _median(bench, switcher, first, second)
    bench.say("warm A to B", 1000 * whole, "ms", predicted=5.0)
    switcher.apply((first,))
    phases = switcher.apply((second,)).milliseconds
    bench.say("its phases", ", ".join(f"{name} {ms:.2f}" for name, ms in phases), "ms")
    if not bench.is_cuda:
        switcher.apply(())
        bench.skip("Python and the GPU apart", "no CUDA device")
        return
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        switcher.apply((first,))
        torch.cuda.synchronize()
    switcher.apply(())
    kernels = sum(event.self_device_time_total for event in found.key_averages())
    bench.say("of it the GPU at work", kernels / 1000, "ms")
    bench.say("of it Python and waiting", 1000 * whole - kernels / 1000, "ms", predicted=1.0)


def _median(bench: Bench, switcher: LoraSwitcher, first: LoraRef, second: LoraRef) -> float:
    seconds = []
    for _ in range(2 if bench.is_quick else 10):
        switcher.apply((first,))
        seconds.append(seconds_of(lambda: switcher.apply((second,)), bench.device))
    return median(seconds)


def _large(bench: Bench, subject: Subject, folder: Path) -> None:
    (folder / "large").mkdir()
    paths = write_random_loras(folder / "large", subject.parts["unet"], LARGE_RANK, 2)
    size = paths[0].stat().st_size / 2**20
    switcher = _switcher(subject)
    first, second = map(LoraRef, paths)
    for ref in (first, second, first):
        switcher.apply((ref,))
    seconds = _median(bench, switcher, first, second)
    bench.say(f"warm A to B of {size:.0f} MiB each", 1000 * seconds, "ms")
    switcher.apply(())


def _tiers(bench: Bench, subject: Subject) -> None:
    """What `loraswitch bench` measures, diffusers' own ways included."""
    report = run_bench(
        subject,
        repeat=1 if bench.is_quick else 5,
        tiers=("device",) if bench.is_quick else None,
        peers=not bench.is_quick,
    )
    tell_bench(bench, report)


def tell_bench(bench: Bench, report: BenchReport) -> None:
    """Tell a report of `loraswitch bench` as results."""
    for found in report.switches:
        aim = _AIMS.get((found.name, found.tier))
        bench.say(
            f"{found.name}, backup {found.tier}",
            1000 * found.seconds,
            "ms",
            floor=1000 * found.floor,
            predicted=aim and aim * 1000 * found.floor,
            note=", ".join(f"{name} {ms:.1f}" for name, ms in found.phases),
        )
    for peer in report.peers:
        bench.say(peer.name, 1000 * peer.seconds, "ms", note=f"like {peer.against}")
    for note in report.notes:
        bench.skip("a part of the tiers", note)
    bench.say("base tensors that differ after ours", report.different, predicted=0)
