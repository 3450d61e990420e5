"""Memory modes: what is chosen on cards of several sizes, and what it takes; then out of memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import torch

from benchmarks.full_file import write_checkpoint
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.pictures import draw_one
from engine.bench.clock import seconds_of
from engine.bench.random_loras import write_random_loras
from engine.checkpoint import open_checkpoint
from engine.checkpoint.outline import outline_of
from engine.errors import EngineError
from engine.modes.choose import choose_mode, device_need
from engine.modes.place import load_device, place, visitors
from engine.modes.size import ModelBytes
from engine.protocol.modes import MODES, Mode
from engine.protocol.refs import LoraRef
from engine.switch.switcher import LoraSwitcher

CARDS_GIB = (8, 12, 16, 24)
_TAKEN = 0.7 * 2**30
"""What the driver and a desktop have of a card."""


def run(bench: Bench) -> None:
    """The choice for each card; then, on a GPU, each mode within the memory of its card."""
    model = full_size()
    for card in CARDS_GIB:
        mode = choose_mode(int(card * 2**30 - _TAKEN), model)
        need = device_need(mode, model) / 2**30
        bench.say(f"a card of {card} GB", mode, note=f"needs {need:.1f} GiB by estimate")
    if not bench.is_cuda:
        bench.skip("modes at work", "no CUDA device")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        unet = outline_of(None, torch.float16)["unet"]
        lora = LoraRef(write_random_loras(folder, unet, 32, 1)[0])
        path = folder / "model.safetensors"
        write_checkpoint(path)
        for mode in MODES:
            with bench.trying(mode):
                _mode(bench, path, lora, mode, model)
        for stage in ("backup", "merge", "decode"):
            with bench.trying(f"out of memory in {stage}"):
                _out_of_memory(bench, path, lora, stage)


def full_size() -> ModelBytes:
    """SDXL in float16 with its VAE in float32."""
    weights = {
        "unet": 2_567_463_684,
        "text_encoder": 123_060_480,
        "text_encoder_2": 694_659_840,
    }
    return ModelBytes(**{part: 2 * count for part, count in weights.items()}, vae=4 * 83_653_863)


def _mode(bench: Bench, path: Path, lora: LoraRef, mode: Mode, model: ModelBytes) -> None:
    """A picture in a mode, with no more memory than its estimate says."""
    device = str(bench.device)
    pipe = open_checkpoint(
        path, device=load_device(mode, device), dtype=torch.float16, visitors=visitors(mode)
    ).pipeline
    place(pipe, mode, device)
    switcher = LoraSwitcher(pipe.unet, pipe.text_encoder, pipe.text_encoder_2, backup="cpu")
    torch.cuda.reset_peak_memory_stats()
    seconds = seconds_of(lambda: switcher.apply([lora]), bench.device)
    bench.say(f"{mode}: the first switch", seconds, "s")
    start = perf_counter()
    draw_one(pipe, side=1024, steps=4)
    seconds = perf_counter() - start
    peak = torch.cuda.max_memory_allocated() / 2**30
    bench.say(f"{mode}: peak", peak, "GiB", predicted=device_need(mode, model) / 2**30)
    bench.say(f"{mode}: a picture of 4 steps", seconds, "s")
    switcher.apply([])
    bench.say(f"{mode}: tensors that differ", len(switcher.verify().different), predicted=0)


def _out_of_memory(bench: Bench, path: Path, lora: LoraRef, stage: str) -> None:
    """Take the memory away right before a stage: the base stays, and the next try works."""
    pipe = open_checkpoint(path, device=str(bench.device), dtype=torch.float16).pipeline
    switcher = LoraSwitcher(pipe.unet, pipe.text_encoder, pipe.text_encoder_2, backup="device")
    if stage != "backup":
        switcher.backup_weights([lora])
    said = "nothing was refused"
    with _no_room(bench.device, 64 << 20):
        try:
            if stage == "decode":
                draw_one(pipe, side=1024, steps=1)
            else:
                switcher.apply([lora])
        except EngineError as error:
            said = str(error)
        except torch.OutOfMemoryError:
            said = "torch's own error"
    bench.say(f"out of memory in {stage}", switcher.state, note=said)
    switcher.apply([])
    different = len(switcher.verify().different)
    bench.say(f"out of memory in {stage}: tensors that differ", different, predicted=0)
    switcher.apply([lora])
    bench.say(f"out of memory in {stage}: the next try", switcher.state, predicted="stack")


@contextmanager
def _no_room(device: torch.device, more: int) -> Iterator[None]:
    """Let PyTorch take no more than so many bytes beyond what it has."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    share = (torch.cuda.memory_reserved(device) + more) / total
    torch.cuda.set_per_process_memory_fraction(min(1.0, share), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
