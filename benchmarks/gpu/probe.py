"""The machine: what it is, and the speeds that everything else is measured against."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import torch

from benchmarks.gpu.bench import Bench
from engine.device import device_name
from engine.switch.grouped import kernels_run_on

_PACKAGES = ("torch", "triton", "diffusers", "transformers", "safetensors")
_TENSORS = 700
"""About as many as a LoRA of SDXL changes."""


def run(bench: Bench) -> None:
    """Tell versions, the card, and its copies, products and launches."""
    bench.say("versions", ", ".join(_versions()))
    bench.say("device", device_name(str(bench.device)))
    for tool in ("cc", "gcc", "clang"):
        bench.say(f"C compiler {tool}", shutil.which(tool) or "none")
    with bench.trying("copies"):
        _copies(bench)
    with bench.trying("products"):
        _products(bench)
    if not bench.is_cuda:
        bench.skip("the card", "no CUDA device")
        return
    with bench.trying("the card"):
        _card(bench)
    with bench.trying("kernels"):
        seconds = bench.seconds(lambda: kernels_run_on(bench.device), repeat=1)
        bench.say("kernels of our own run", str(kernels_run_on(bench.device)))
        bench.say("asking again", seconds, "s")


def _versions() -> Iterator[str]:
    for package in _PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            yield f"no {package}"


def _card(bench: Bench) -> None:
    properties = torch.cuda.get_device_properties(bench.device)
    bench.say("compute capability", f"{properties.major}.{properties.minor}")
    bench.say("multiprocessors", properties.multi_processor_count)
    bench.say("second-level cache", properties.L2_cache_size / 2**20, "MiB")
    free, total = torch.cuda.mem_get_info(bench.device)
    bench.say("free memory", free / 2**30, "GiB", note=f"of {total / 2**30:.1f}")
    bench.say("CUDA", str(torch.version.cuda), note=f"HIP {torch.version.hip}")
    bench.say("cuDNN", str(torch.backends.cudnn.version()))  # type: ignore[no-untyped-call]
    if shutil.which("nvidia-smi"):
        asked = ["nvidia-smi", "--query-gpu=driver_version,clocks.sm,clocks.mem,power.limit"]
        done = subprocess.run([*asked, "--format=csv,noheader"], capture_output=True, text=True)
        bench.say("driver, clocks, power", done.stdout.strip().splitlines()[0])


def _copies(bench: Bench) -> None:
    """Of one large tensor, of as many as a switch has, and over the bus."""
    size = 1 << (24 if bench.is_quick else 31)
    source = torch.ones(size, dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    seconds = bench.gpu_seconds(lambda: target.copy_(source))
    bench.say("flat copy", 2 * size / seconds / 1e9, "GB/s", note="bytes read and written")
    many, wholes = ([t[: size // 2**16 * 64] for t in x.chunk(_TENSORS)] for x in (target, source))
    together = bench.gpu_seconds(lambda: torch._foreach_copy_(many, wholes))
    moved = 2 * sum(part.nbytes for part in many)
    bench.say(f"fused copy of {len(many)}", moved / together / 1e9, "GB/s")
    if not bench.is_cuda:
        return
    pinned = torch.empty(min(size, 1 << 30), dtype=torch.uint8, pin_memory=True)
    part = target[: len(pinned)]
    up = bench.gpu_seconds(lambda: part.copy_(pinned, non_blocking=True), 5)
    down = bench.gpu_seconds(lambda: pinned.copy_(part, non_blocking=True), 5)
    bench.say("pinned copy to the card", len(pinned) / up / 1e9, "GB/s")
    bench.say("pinned copy from the card", len(pinned) / down / 1e9, "GB/s")
    empty = torch.zeros(1, device=bench.device)
    bench.say("one small launch", 1e6 * bench.gpu_seconds(empty.zero_), "us")


def _products(bench: Bench) -> None:
    side = 256 if bench.is_quick else 8192
    kinds = (torch.float16, torch.bfloat16, torch.float32) if bench.is_cuda else (torch.float32,)
    for dtype in kinds:
        a = torch.randn(side, side, device=bench.device, dtype=dtype)
        seconds = bench.gpu_seconds(lambda a=a: a @ a, 5)  # type: ignore[misc]
        name = str(dtype).removeprefix("torch.")
        bench.say(f"products in {name}", 2 * side**3 / seconds / 1e12, "TFLOP/s")
