"""Drawing at 512 and 1024 pixels a side: eager, laid out otherwise, by attention kind, compiled."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.full_file import write_checkpoint
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.pictures import draw_one, draw_theirs
from engine.checkpoint import open_checkpoint
from engine.demo import DEMO_MODEL
from engine.generate.decode import decode
from engine.modes.graph import graph_unet

SIDES = (512, 1024)
STEPS = 28
_COMPILE_SECONDS = 100.0


def run(bench: Bench) -> None:
    """Ours and diffusers' own in the same run, on the same random weights."""
    with tempfile.TemporaryDirectory() as folder:
        path = DEMO_MODEL
        if not bench.is_quick:
            path = Path(folder) / "model.safetensors"
            write_checkpoint(path)
        dtype = torch.float16 if bench.is_cuda else torch.float32
        pipe: Any = open_checkpoint(path, device=str(bench.device), dtype=dtype).pipeline
        pipe.set_progress_bar_config(disable=True)
        for side in _sides(bench):
            with bench.trying(f"{side}² pixels"):
                _eager(bench, pipe, side)
            with bench.trying(f"decoding {side}²"):
                _decoding(bench, pipe, side)
        if not bench.is_cuda:
            bench.skip("attention kinds, layouts, compiled", "no CUDA device")
            return
        for side in _sides(bench):
            for kind in SDPBackend.__members__.values():
                if kind not in (SDPBackend.ERROR, SDPBackend.OVERRIDEABLE):
                    with bench.trying(f"{side}², attention {kind.name}"), sdpa_kernel(kind):
                        _ours(bench, pipe, side, f"attention {kind.name}")
        pipe.unet.to(memory_format=torch.channels_last)
        for side in _sides(bench):
            with bench.trying(f"{side}², channels_last"):
                _ours(bench, pipe, side, "channels_last")
        for side in _sides(bench):
            with bench.trying(f"{side}², CUDA graph"):
                _graphed(bench, pipe, side)
        with bench.trying("compiled"):
            _compiled(bench, pipe)


def _sides(bench: Bench) -> Iterator[int]:
    yield from (64,) if bench.is_quick else SIDES


def _steps(bench: Bench) -> int:
    return 2 if bench.is_quick else STEPS


def _ours(bench: Bench, pipe: Any, side: int, kind: str, **given: Any) -> float:
    steps = _steps(bench)
    seconds = bench.seconds(lambda: draw_one(pipe, side=side, steps=steps, **given), 1)
    bench.say(f"{side}², {kind}", seconds, "s")
    return seconds


def _eager(bench: Bench, pipe: Any, side: int) -> None:
    steps = _steps(bench)
    theirs = bench.seconds(lambda: draw_theirs(pipe, side=side, steps=steps), 1)
    bench.say(f"{side}², diffusers, eager", theirs, "s")
    ours = bench.seconds(lambda: draw_one(pipe, side=side, steps=steps), 1)
    bench.say(f"{side}², eager", ours, "s", predicted=theirs, note="as diffusers or better")
    _ours(bench, pipe, side, "eager with a preview at each step", preview_every=1)


def _decoding(bench: Bench, pipe: Any, side: int) -> None:
    vae, scale = pipe.vae, pipe.vae_scale_factor
    latents = torch.randn(1, 4, side // scale, side // scale, device=bench.device)
    own = vae.dtype
    kinds = (torch.float32, torch.bfloat16) if bench.is_cuda else (torch.float32,)
    try:
        for dtype in kinds:
            vae.to(dtype)
            seconds = bench.gpu_seconds(lambda: decode(pipe, latents), 3)
            name = str(dtype).removeprefix("torch.")
            bench.say(f"decoding {side}² in {name}", 1000 * seconds, "ms")
    finally:
        vae.to(own)


def _graphed(bench: Bench, pipe: Any, side: int) -> None:
    """Against eager in the same layout, which was measured right before."""
    eager = bench.seconds(lambda: draw_one(pipe, side=side, steps=_steps(bench)), 1)
    forward = graph_unet(pipe.unet)
    try:
        seconds = bench.seconds(lambda: draw_one(pipe, side=side, steps=_steps(bench)), 1)
        note = f"holds {forward.bytes / 2**20:.0f} MiB" if forward.is_on else "TURNED ITSELF OFF"
        bench.say(f"{side}², CUDA graph", seconds, "s", predicted=eager, note=note)
    finally:
        del pipe.unet.forward


def _compiled(bench: Bench, pipe: Any) -> None:
    """Ours and diffusers' by the same compiled UNet; compiling has to end within the limit."""
    if not bench.has_time_for(_COMPILE_SECONDS):
        bench.skip("compiled", "too little of the section's time was left")
        return
    from engine.modes.compiled import compile_unet

    compile_unet(pipe.unet)
    side, steps = SIDES[-1], _steps(bench)
    ours = bench.seconds(lambda: draw_one(pipe, side=side, steps=steps), 1)
    theirs = bench.seconds(lambda: draw_theirs(pipe, side=side, steps=steps), 1)
    bench.say(f"{side}², diffusers, compiled", theirs, "s")
    bench.say(f"{side}², compiled", ours, "s", predicted=theirs, note="as diffusers or better")
