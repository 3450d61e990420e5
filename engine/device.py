"""Which device and dtype a model goes to, and what they are called."""

from __future__ import annotations

import torch

from engine.errors import EngineError

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
VAE_DTYPES = ("float32", "bfloat16")
"""SDXL's own VAE overflows in float16."""


def choose_device(wanted: str | None) -> str:
    """The device asked for, or the best there is: `cuda:0`, else `mps`, else `cpu`.

    Raises `EngineError` when the wanted one does not exist here.
    """
    if wanted is None:
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise EngineError(f"{wanted} is no device; use cpu, cuda or cuda:1.") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        index = device.index or 0
        if index >= count:
            raise EngineError(f"{wanted} is not there: PyTorch sees {count} CUDA devices.")
        return f"cuda:{index}"
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise EngineError("mps is not there: PyTorch sees no Apple GPU.")
    if device.type not in ("cpu", "mps"):
        raise EngineError(f"{wanted} is not supported; use cpu, cuda or cuda:1.")
    return device.type


def choose_dtype(wanted: str | None, device: str) -> torch.dtype:
    """The dtype asked for by name, or float32 on a CPU (where halves are slow), else float16."""
    if wanted is None:
        return torch.float32 if device == "cpu" else torch.float16
    if wanted not in DTYPES:
        raise EngineError(f"{wanted} is no dtype to load with; use {', '.join(DTYPES)}.")
    return DTYPES[wanted]


def choose_vae_dtype(wanted: str | None, dtype: torch.dtype, device: str) -> torch.dtype:
    """The VAE's dtype asked for by name, or what suits the device and the dtype of the rest."""
    if wanted is None:
        halves = dtype != torch.float32 and computes_in_bfloat16(compute_capability(device))
        return torch.bfloat16 if halves else torch.float32
    if wanted not in VAE_DTYPES:
        raise EngineError(f"{wanted} is no dtype for a VAE; use {' or '.join(VAE_DTYPES)}.")
    return DTYPES[wanted]


def computes_in_bfloat16(capability: tuple[int, int] | None) -> bool:
    """Whether a GPU of NVIDIA's has tensor cores for bfloat16: from sm_80 on."""
    return capability is not None and capability >= (8, 0)


def compute_capability(device: str) -> tuple[int, int] | None:
    """Such as (8, 6) for sm_86; None for all but NVIDIA's GPUs."""
    # What ROCm calls a capability is AMD's own number.
    if not device.startswith("cuda") or torch.version.hip is not None:
        return None
    return torch.cuda.get_device_capability(device)


def device_name(device: str) -> str:
    """The hardware's name, such as `NVIDIA GeForce RTX 4090`; `CPU` for a processor."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return "Apple GPU" if device == "mps" else "CPU"


def device_uuid(device: str) -> str | None:
    """The GPU's UUID as NVML writes it (`GPU-...`); None for other devices."""
    if not device.startswith("cuda"):
        return None
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"
