"""Ray: pictures a minute with one and two workers here, and a simulation of many GPUs.

`python -m benchmarks.cluster [simulate|measure]`; measuring takes two free cores and two minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.cluster_scale import POLICIES, Outcome, Times, plot, simulate, sweep_of
from benchmarks.record import RESULTS, record
from benchmarks.tables import write_tables

HERE = Path(__file__).parent
PLAN = """\
prompt = "a large red star on a blue background"
steps = 8
[axes]
lora = ["neon_glow", "ink_outline"]
strength = [0.5, 1.0]
seed = [1, 2]
"""
SHAPES = [(1, 1), (1, 2), (1, 4), (1, 8), (2, 8), (4, 8), (8, 8), (16, 8)]
SHOWN = [(1, 8), (2, 8), (4, 8), (16, 8)]


def measure() -> None:
    """Two processes on two cores without Ray, then Ray with one and with two workers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan = folder / "plan.toml"
        plan.write_text(PLAN, encoding="utf-8")
        alone = _finish(_start(plan, folder / "alone", "--own-engine"))
        pair = [_start(plan, folder / f"pair{n}", "--own-engine") for n in range(2)]
        both = [_finish(one) for one in pair]
        one = _rates(_finish(_start(plan, folder / "one", "--ray", "local", "--workers", "1")))
        two = _rates(_finish(_start(plan, folder / "two", "--ray", "local", "--workers", "2")))
        figures = {
            "cells": alone["cells"],
            "per_minute_without_ray": _pace(folder / "alone"),
            "per_minute_of_two_processes": [_pace(folder / f"pair{n}") for n in range(2)],
            "bound_of_the_cores": sum(_pace(folder / f"pair{n}") for n in range(2))
            / _pace(folder / "alone"),
            "per_minute_one_worker": one,
            "per_minute_two_workers": two,
            "speed_of_two": sum(two) / sum(one),
            "share_of_linear": sum(two) / sum(one) / 2,
            "put_picture_s": put_seconds(),
            "switch_s": switch_seconds(),
            "fetch_gigabytes_a_second": fetch_speed() / 1e9,
        }
        assert all(said["failed"] == [] for said in both)
    record("cluster", {name: rounded(figure) for name, figure in figures.items()})


def rounded(figure: object) -> object:
    """Floats, also those of a list, with three digits behind the point."""
    if isinstance(figure, list):
        return [rounded(one) for one in figure]
    return round(figure, 3) if isinstance(figure, float) else figure


def _start(plan: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    words = ["sweep", str(plan), "--demo", "--device", "cpu", "--out", str(out), "--json", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "tui_loraswitch", *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(process.communicate()[0])
    return said


def _rates(said: dict[str, Any]) -> list[float]:
    return [worker["per_minute"] for worker in said["workers"]]


def _pace(folder: Path) -> float:
    """Pictures a minute, by the times of the files: the first one's loading does not count."""
    times = sorted(path.stat().st_mtime for path in (folder / "cells").glob("*.png"))
    return 60 * (len(times) - 1) / (times[-1] - times[0])


def put_seconds() -> float:
    """What the driver takes to put one picture of SDXL's size away: the median of ten."""
    import numpy as np
    from PIL import Image

    from engine.generate.picture_bytes import encode_picture
    from engine.proof.digest import joined_key
    from engine.protocol.certificate import Certificate, Machine
    from engine.protocol.making import Making, encode_making
    from engine.protocol.request import GenerateRequest
    from engine.sweep.cells import Cell
    from engine.sweep.folder import KeyedCell, SweepFolder

    noise = np.random.default_rng(1).integers(0, 60, (1024, 1024, 3), np.uint8)
    folder = SweepFolder(Path(tempfile.mkdtemp()))
    took = []
    with folder.held():
        folder.look()
        for number in range(10):
            request = GenerateRequest("a fox", folder.path, seed=number)
            machine = Machine("cpu", "resident", 1, ())
            certificate = Certificate("w", f"{number}", "b", "m", (), 1, 1, machine)
            making = encode_making(Making(request, certificate=certificate))
            data, _ = encode_picture(Image.fromarray(noise), "png", "a fox", making)
            key = joined_key(certificate.weights, certificate.request, certificate.loop)
            keyed = KeyedCell(Cell(f"{number}", (number,), {}, request, ()), key)
            picture = folder.drawing(keyed.key) / "picture.png"
            picture.parent.mkdir(parents=True)
            start = time.perf_counter()
            picture.write_bytes(data)
            folder.take(keyed, picture)
            folder.note(keyed)
            took.append(time.perf_counter() - start)
    shutil.rmtree(folder.path)
    return statistics.median(took)


def switch_seconds() -> float:
    """A switch from one LoRA of the demo to another, both in memory: the median of ten."""
    from engine.client.blocking import BlockingClient
    from engine.demo import DEMO_LORAS
    from engine.protocol.commands import Load, SetStack
    from engine.protocol.events import ModelLoaded, Switched
    from engine.protocol.refs import LoraRef
    from engine.session import Session

    client = BlockingClient(lambda message: None)
    session = Session(client.take)
    client.wait(client.send(session, Load(device="cpu")), ModelLoaded)
    took = []
    for number in range(12):
        name = ("neon_glow", "ink_outline")[number % 2]
        ref = LoraRef(DEMO_LORAS / "styles" / f"{name}.safetensors", 0.8, 0.8)
        done = client.wait(client.send(session, SetStack((ref,))), Switched)
        took.append(done.report.total_milliseconds / 1000)
    session.close(10)
    return statistics.median(took[2:])


def fetch_speed() -> float:
    """Bytes a second from one process of Ray to another, by its object store."""
    from engine.cluster.loras import Packed, packed, unpacked
    from engine.cluster.start import cluster

    size = 128 << 20
    with cluster("local", 2) as ray:

        class Files:
            def __init__(self) -> None:
                self._data = os.urandom(size)

            def pack(self) -> Packed:
                return packed({"lora": self._data})

        files = ray.remote(Files).remote()
        unpacked(ray.get(files.pack.remote()))
        start = time.perf_counter()
        for _ in range(4):
            unpacked(ray.get(files.pack.remote()))
        return 4 * size / (time.perf_counter() - start)


def times_of_gpus() -> Times:
    """What things take on a cluster of GPUs.

    Measured here: what the driver takes for a picture, and how fast Ray gives LoRAs away, as far as
    8 of 10 Gbit/s carry it. Assumed: a card that draws 1,000 pictures in half an hour, and switches
    LoRAs of rank 32 in 5 ms.
    """
    found = json.loads((RESULTS / "cluster.json").read_text(encoding="utf-8"))["figures"]
    return Times(
        draw=1.8,
        switch=0.005,
        put=found["put_picture_s"],
        lora_bytes=228e6,
        link=min(1e9, 1e9 * found["fetch_gigabytes_a_second"]),
        picture_bytes=1.6e6,
    )


def simulate_all() -> None:
    """A tour and sweeps on 1 to 128 GPUs, by each policy; writes the plots."""
    gpu = times_of_gpus()
    # LoRAs that lie on the nodes already: a shared disk of each node's own, or a second tour.
    kept = replace(gpu, lora_bytes=0.0)
    # Backups in main memory or in the file.
    slow_switch = replace(gpu, switch=0.5)
    tour, sweep = sweep_of(1000, 1, 1), sweep_of(8, 3, 40)
    work = {
        "tour of 1,000 LoRAs": (tour, 1, gpu, "cluster-tour.svg"),
        "the same, LoRAs on the nodes": (tour, 1, kept, ""),
        "8 LoRAs × 3 strengths × 40 seeds": (sweep, 3, gpu, "cluster-sweep.svg"),
        "the same, switches of 0.5 s": (sweep, 3, slow_switch, ""),
    }
    rows: list[dict[str, object]] = []
    for name, (groups, strengths, times, file) in work.items():
        speeds: dict[str, list[tuple[int, float]]] = {}
        for policy in POLICIES:
            runs = [simulate(groups, strengths, *shape, times, policy) for shape in SHAPES]
            speeds[policy] = [
                (nodes * each, runs[0].seconds / run.seconds)
                for (nodes, each), run in zip(SHAPES, runs, strict=True)
            ]
            rows += [
                {"work": name, "policy": policy, "gpus": f"{shape[0]}×{shape[1]}"}
                | _facts(run, runs[0])
                for shape, run in zip(SHAPES, runs, strict=True)
                if shape in SHOWN
            ]
        if file:
            plot(speeds, HERE / file, f"Speed over workers: {name}", 128)
    record("cluster_simulation", {"times": asdict(gpu), "runs": rows})


def _facts(run: Outcome, one: Outcome) -> dict[str, object]:
    return {
        "seconds": round(run.seconds, 1),
        "speed": round(one.seconds / run.seconds, 1),
        "not_drawing": round(run.idle, 3),
        "switches": run.switches,
        "gigabytes_sent": round(run.sent / 1e9, 1),
    }


if __name__ == "__main__":
    measure() if sys.argv[1:] == ["measure"] else simulate_all()
    write_tables()
