"""The merge kernel alone: GB/s beside one flat copy of the same bytes, and a sweep of tiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch

from benchmarks.gpu.bench import Bench
from engine.bench.random_loras import lora_layers
from engine.checkpoint.outline import outline_of
from engine.lora.families import LowRank
from engine.switch.launches import Layout, Work, launch_all, new_launch
from engine.switch.tiles import CANDIDATES, Tile, tile_for

RANK = 32
_BYTES = 1 << 30
"""Of weights of one shape at most: more than any cache holds."""
_SWEPT = (1280, 1280), (10240, 1280), (1280, 5120), (640, 640)
_SWEEP_SECONDS = 12.0
"""For one tile: compiling it, and all shapes."""


def run(bench: Bench) -> None:
    """Every shape of SDXL's linear layers, in each dtype; then each tile."""
    unet = outline_of(None, torch.float16)["unet"]
    shapes = Counter(tuple(layer.weight.shape) for _, layer in lora_layers(unet))
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        with bench.trying(str(dtype)):
            _shapes(bench, shapes, dtype)
    for rank in (8, 32, 128):
        for tile in CANDIDATES:
            name = f"tile {tile.rows}×{tile.columns}×{tile.rank}, {tile.warps} warps, rank {rank}"
            if not bench.has_time_for(_SWEEP_SECONDS):
                bench.skip(name, "too little of the section's time was left")
                continue
            with bench.trying(name):
                _sweep(bench, name, tile, rank)


def _sweep(bench: Bench, name: str, tile: Tile, rank: int) -> None:
    """One tile over the shapes that most of SDXL's bytes are in, in float16."""
    total = limit = 0.0
    for rows, columns in _SWEPT:
        held = _BYTES // 4 // (2 * rows * columns)
        base = torch.randn(held, rows, columns, device=bench.device, dtype=torch.float16)
        live = torch.empty_like(base)
        limit += bench.gpu_seconds(lambda live=live, base=base: live.copy_(base))  # type: ignore[misc]
        total += _merge_seconds(bench, live, base, rank, tile)
    own = tile_for(bench.device, torch.float16, torch.float16)
    note = "the one in use" if tile == own else ""
    bench.say(name, 1000 * total, "ms", floor=1000 * limit, note=note)


def _shapes(bench: Bench, shapes: Mapping[tuple[int, ...], int], dtype: torch.dtype) -> None:
    name = str(dtype).removeprefix("torch.")
    total = kept = limit = 0.0
    for shape, count in shapes.items():
        held = min(count, max(1, _BYTES // (shape[0] * shape[1] * dtype.itemsize)))
        base = torch.randn(held, *shape, device=bench.device).to(dtype)
        live = torch.empty_like(base)
        floor = bench.gpu_seconds(lambda live=live, base=base: live.copy_(base))  # type: ignore[misc]
        seconds = _merge_seconds(bench, live, base, RANK)
        # In place, as where no LoRA was before.
        copies = [torch.empty_like(weight) for weight in base]
        kept += _merge_seconds(bench, live, live, RANK, copies=copies) * count / held
        moved = 2 * base.nbytes
        bench.say(
            f"{name} {held} × {shape[0]}×{shape[1]}, rank {RANK}",
            1000 * seconds,
            "ms",
            floor=1000 * floor,
            note=f"{moved / seconds / 1e9:.0f} GB/s; the flat copy {moved / floor / 1e9:.0f}",
        )
        total, limit = total + seconds * count / held, limit + floor * count / held
        del base, live, copies
    name = f"{name}: all of SDXL"
    bench.say(name, 1000 * total, "ms", floor=1000 * limit, predicted=1.5 * 1000 * limit)
    note = "from the base: read once, written twice"
    name, limit = f"{name}, with a copy of each base", 1.5 * limit
    bench.say(name, 1000 * kept, "ms", floor=1000 * limit, predicted=1500 * limit, note=note)


def _merge_seconds(
    bench: Bench,
    live: torch.Tensor,
    base: torch.Tensor,
    rank: int,
    tile: Tile | None = None,
    copies: Sequence[torch.Tensor] = (),
) -> float:
    rows, columns = live.shape[1:]
    up = (0.02 * torch.randn(rows, rank, device=bench.device)).half()
    down = (0.02 * torch.randn(rank, columns, device=bench.device)).half()
    factors = LowRank(up, down, 1.0).factors
    layout = Layout.of(live[0])
    assert layout is not None, "plain"
    launch = new_launch(layout, factors.up.dtype, 1, tile)
    for _ in live:
        launch.add([factors], [0.7])
    work = Work(launch, list(live), list(base), copies)
    return bench.gpu_seconds(lambda: launch_all([work], bench.device))
