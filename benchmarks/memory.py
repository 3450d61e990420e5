"""Memory of a full-size SDXL: loading a 7 GB file, and switching with backups in each tier.

Anonymous memory is what a process holds beyond mapped files (RssAnon in /proc/self/status): Linux
only. Each case runs in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import load_file

from benchmarks.full_file import write_checkpoint
from engine.bench.random_loras import write_random_loras
from engine.checkpoint import open_checkpoint
from engine.checkpoint.outline import outline_of
from engine.lora.cache import LoraCache
from engine.protocol.refs import LoraRef
from engine.switch.switcher import LoraSwitcher

MIB = 2**20
RANK = 4


def anonymous() -> int:
    """Bytes of anonymous memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


@contextmanager
def peak() -> Iterator[Callable[[], int]]:
    """Watch anonymous memory; the function gives the most that was held beyond the start."""
    start, highest, done = anonymous(), 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(0.01):
            highest = max(highest, anonymous() - start)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: max(highest, anonymous() - start)
    finally:
        done.set()
        thread.join()


def loading(folder: Path, dtype_name: str) -> dict[str, object]:
    """Time and memory of opening the file as a dtype, beside safetensors' own loader."""
    dtype: torch.dtype = getattr(torch, dtype_name)
    model = folder / "model.safetensors"
    start = time.perf_counter()
    # Cloned or converted: a mapped tensor has not been read yet.
    tensors = load_file(model)
    for key in list(tensors):
        tensors[key] = tensors[key].to(dtype, copy=True)
    bare = time.perf_counter() - start
    tensors.clear()
    with peak() as highest:
        start = time.perf_counter()
        checkpoint = open_checkpoint(model, device="cpu", dtype=dtype)
        opened = time.perf_counter() - start
        # All pages once: what was only mapped is read now.
        for module in checkpoint.modules.values():
            for parameter in module.parameters():
                parameter.view(-1).view(torch.uint8)[::4096].sum()
        read = time.perf_counter() - start
    size = sum(p.nbytes for m in checkpoint.modules.values() for p in m.parameters())
    return {
        "dtype": dtype_name,
        "model_gib": round(size / 2**30, 2),
        "peak_anonymous_gib": round(highest() / 2**30, 2),
        "peak_to_model": round(highest() / size, 3),
        "safetensors_seconds": round(bare, 2),
        "open_seconds": round(opened, 2),
        "open_and_read_seconds": round(read, 2),
        "open_and_read_to_safetensors": round(read / bare, 2),
    }


def switching(folder: Path, tier: str) -> dict[str, object]:
    """Anonymous memory after a switch and after going back, by what it is for."""
    checkpoint = open_checkpoint(folder / "model.safetensors", device="cpu", dtype=torch.float16)
    pipe = checkpoint.pipeline
    switcher = LoraSwitcher(
        pipe.unet,
        pipe.text_encoder,
        pipe.text_encoder_2,
        backup=tier,  # type: ignore[arg-type]
        cache=LoraCache(1),
        source=checkpoint.source,
    )
    start = anonymous()
    with peak() as highest:
        report = switcher.apply([LoraRef(folder / "random-1.safetensors")])
    # The merged weights' own pages: what was mapped from the file is the process's own now.
    merged, switched = report.bytes_written, anonymous() - start
    cached = switcher.cache_bytes
    switcher.apply([])
    back = anonymous() - start
    return {
        "tier": tier,
        "touched_mib": round(merged / MIB),
        "backup_mib": round(report.backup_bytes / MIB, 1),
        "lora_cache_mib": round(cached / MIB, 1),
        "beyond_merged_and_cache_after_switch_mib": round((switched - merged - cached) / MIB, 1),
        "beyond_merged_and_cache_after_restore_mib": round((back - merged - cached) / MIB, 1),
        "peak_beyond_merged_and_cache_mib": round((highest() - merged - cached) / MIB, 1),
        "different_after_restore": len(switcher.verify().different),
    }


CASES = {"loading": ("float16", "bfloat16"), "switching": ("file", "cpu")}


def measure(*, quick: bool) -> dict[str, object]:
    """All cases on a model of real size; there is no small one."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_checkpoint(folder / "model.safetensors")
        write_random_loras(folder, outline_of(None, torch.float16)["unet"], RANK, count=1)
        figures: dict[str, object] = {"lora_rank": RANK}
        for kind, cases in CASES.items():
            figures[kind] = [_in_process(name, kind, case) for case in cases]
    return figures


def _in_process(*arguments: str) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks.memory", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    run = loading if sys.argv[2] == "loading" else switching
    print(json.dumps(run(Path(sys.argv[1]), sys.argv[3])))
