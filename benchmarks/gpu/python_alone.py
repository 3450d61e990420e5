"""What Python does in a warm switch on a GPU, measured without one: the launches do nothing.

The model has SDXL's names and counts of layers, and next to no width: what a switch costs then is
what the program itself does for each of its 722 weights.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from diffusers import UNet2DConditionModel

from benchmarks.gpu.bench import Bench
from engine.bench.random_loras import write_random_loras
from engine.checkpoint.config import sdxl_config
from engine.protocol.refs import LoraRef
from engine.switch import grouped, loras
from engine.switch.kernel import Launch
from engine.switch.switcher import LoraSwitcher

_WIDTHS = {
    "block_out_channels": [8, 16, 16],
    "attention_head_dim": [1, 1, 1],
    "norm_num_groups": 4,
    "cross_attention_dim": 16,
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 16 + 6 * 4,
}


def thin_unet() -> UNet2DConditionModel:
    """SDXL's UNet with all its layers, hardly wider than nothing."""
    unet: Any = UNet2DConditionModel(**{**sdxl_config()["unet"], **_WIDTHS})
    return unet.half().requires_grad_(False).eval()


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """Let the CPU be taken for a GPU whose kernels do nothing, so backups are worth nothing."""
    with ExitStack() as stubs:
        for owner, name, stub in (
            (loras, "is_gpu", _always),
            (loras, "lora_bytes", lambda device: 1 << 30),
            (grouped, "kernels_run_on", _always),
            (Launch, "run", _nothing),
        ):
            stubs.enter_context(mock.patch.object(owner, name, stub))
        yield


def _always(device: torch.device) -> bool:
    return True


def _nothing(*arguments: object) -> None:
    """In place of a launch."""


def measure(bench: Bench, repeat: int = 20) -> None:
    """Tell the time of a warm A to B, of another strength, and of going back and forth."""
    with tempfile.TemporaryDirectory() as folder, as_on_a_gpu():
        unet = thin_unet()
        first, second = map(LoraRef, write_random_loras(Path(folder), unet, 4, 2))
        switcher = LoraSwitcher(unet, backup="device")
        for ref in (first, second):
            switcher.prefetch(ref)
        for ref in (first, second):
            switcher.apply([ref])
        _there_and_back(switcher, first, second, repeat)
        seconds = _busy(lambda: _there_and_back(switcher, first, second, repeat)) / (2 * repeat)
        each = ", ".join(f"{name} {ms:.2f}" for name, ms in switcher.apply([first]).milliseconds)
        name = "Python of a warm A to B, launches stubbed"
        bench.say(name, 1000 * seconds, "ms", predicted=1.0, note=each)
        new = [first.at((1 + number) / 100) for number in range(repeat)]
        seconds = _busy(lambda: [switcher.apply([ref]) for ref in new]) / repeat
        bench.say("Python of a strength not seen before", 1000 * seconds, "ms")
        switcher.apply([])


def _busy(action: Callable[[], object]) -> float:
    """Seconds of the processor, whatever else it was at."""
    start = time.thread_time()
    action()
    return time.thread_time() - start


def _there_and_back(switcher: LoraSwitcher, first: LoraRef, second: LoraRef, times: int) -> None:
    for _ in range(times):
        switcher.apply([first])
        switcher.apply([second])
