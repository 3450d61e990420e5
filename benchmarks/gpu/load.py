"""Loading a checkpoint of SDXL's size: from the disk, from the page cache, beside safetensors."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from benchmarks.full_file import write_checkpoint
from benchmarks.gpu.bench import Bench
from engine.bench.clock import seconds_of
from engine.bench.cold import CAN_DROP_PAGES
from engine.checkpoint import open_checkpoint
from engine.demo import DEMO_MODEL
from engine.switch.switcher import LoraSwitcher


def run(bench: Bench) -> None:
    """Open a file cold, then warm, in its own dtype and in another; then take fingerprints."""
    with tempfile.TemporaryDirectory() as folder:
        path = DEMO_MODEL
        if not bench.is_quick:
            path = Path(folder) / "model.safetensors"
            write_checkpoint(path)
        device = str(bench.device)
        size = path.stat().st_size
        floor = bench.seconds(lambda: load_file(path, device=device), 2)
        bench.say("safetensors, warm", floor, "s", note=f"{size / floor / 1e9:.1f} GB/s")
        if CAN_DROP_PAGES and not bench.is_quick:
            with bench.trying("cold"):
                _drop(path)
                cold = seconds_of(lambda: load_file(path, device=device), bench.device)
                bench.clear()
                _drop(path)
                ours = seconds_of(
                    lambda: open_checkpoint(path, device=device, dtype=torch.float16), bench.device
                )
                bench.say("opening, from the disk", ours, "s", floor=cold)
        for dtype in (torch.float16, torch.bfloat16)[: 1 if bench.is_quick else 2]:
            name = str(dtype).removeprefix("torch.")
            with bench.trying(name):
                _open(bench, path, dtype, floor)


def _open(bench: Bench, path: Path, dtype: torch.dtype, floor: float) -> None:
    device = str(bench.device)
    opened: list[Any] = []

    def open_it() -> None:
        opened[:] = [open_checkpoint(path, device=device, dtype=dtype).pipeline]

    seconds = bench.seconds(open_it, 2)
    name = str(dtype).removeprefix("torch.")
    bench.say(f"opening as {name}, warm", seconds, "s", floor=floor)
    pipe = opened.pop()
    parts = (pipe.unet, pipe.text_encoder, pipe.text_encoder_2)
    size = sum(p.nbytes for part in parts for p in part.parameters())
    made = bench.seconds(lambda: LoraSwitcher(*parts), 2)
    bench.say(f"fingerprints in {name}", 1000 * made, "ms", note=f"{size / made / 1e9:.0f} GB/s")


def _drop(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
