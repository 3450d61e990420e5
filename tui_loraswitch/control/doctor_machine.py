"""What the machine has: versions, driver, GPU, memory."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from engine.protocol.text import gib
from engine.version import VERSION
from engine.words.clean import clean_line
from tui_loraswitch.control.finding import Finding

_PATIENCE = 120.0
"""Seconds for PyTorch to say whether it sees the GPU."""
_QUESTION = (
    "import torch; print(torch.version.cuda or '', torch.cuda.is_available() and "
    "torch.cuda.get_device_name(0) or '', sep='\\n')"
)
MODEL_BYTES = 7 << 30
"""What SDXL's weights take at half precision."""


def examine_machine() -> Iterator[Finding]:
    """Findings about Python, PyTorch, the GPU and main memory."""
    own = f"loraswitch {VERSION}, Python {platform.python_version()}"
    yield Finding("versions", "good", f"{own}, Textual {_version('textual')}")
    torch = _version("torch")
    if torch == "not installed":
        yield Finding("torch", "bad", "PyTorch is not installed", "pip install torch")
    else:
        yield Finding("torch", "good", f"PyTorch {torch}, diffusers {_version('diffusers')}")
    yield from _gpu(torch)
    yield _memory()


def _gpu(torch: str) -> Iterator[Finding]:
    from engine.monitor.nvml import Nvml

    nvml = Nvml()
    reading = nvml.read()
    nvml.close()
    if reading is None:
        advice = (
            "Without a GPU a picture of full-size SDXL takes minutes; the demo takes seconds. "
            "With an NVIDIA GPU: install its driver, and see that nvidia-smi lists it."
        )
        yield Finding("GPU", "hint", nvml.note or "none", advice)
        return
    total = f", {gib(reading.memory_total)} GiB" if reading.memory_total else ""
    yield Finding("GPU", "good", f"{clean_line(reading.name)}{total}")
    if torch != "not installed":
        yield _torch_on_gpu()


def _torch_on_gpu() -> Finding:
    """Whether PyTorch can use the GPU, asked in a process of its own."""
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _QUESTION],
            capture_output=True, text=True, timeout=_PATIENCE, check=True,
        ).stdout.splitlines()  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        words = f"PyTorch cannot be asked ({type(error).__name__})"
        return Finding("CUDA", "bad", words, f"Try: {sys.executable} -c 'import torch'")
    cuda, name = (*answer, "", "")[:2]
    if name:
        return Finding("CUDA", "good", f"PyTorch with CUDA {cuda} sees {clean_line(name)}")
    if not cuda:
        advice = "Install the build for CUDA: https://pytorch.org/get-started/locally"
        return Finding("CUDA", "bad", "this PyTorch is built for CPUs alone", advice)
    advice = "The driver may be older than that: nvidia-smi shows the CUDA it supports."
    return Finding("CUDA", "bad", f"PyTorch with CUDA {cuda} sees no GPU", advice)


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    words = f"{gib(memory.available)} of {gib(memory.total)} GiB free"
    if memory.total < MODEL_BYTES:
        advice = "A model at its file's own precision is mapped, and needs little; backup: file."
        return Finding("memory", "hint", words, advice)
    return Finding("memory", "good", words)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
