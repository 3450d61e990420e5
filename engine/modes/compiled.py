"""Compile the UNet, such that a switch of LoRAs still reaches what runs."""

from __future__ import annotations

import shutil
from typing import Any

import torch._inductor.config as inductor

from engine.errors import EngineError
from engine.protocol.modes import ModeChoice, moves_unet


def require_compilable(mode: ModeChoice) -> None:
    """Raise `EngineError` when a compiled UNet would not follow the switches, or not run at all."""
    if inductor.freezing:
        raise EngineError(
            "PyTorch is set to freeze weights into compiled code (TORCHINDUCTOR_FREEZING), so a "
            "switch of LoRAs would change nothing; take that setting out, or do not compile."
        )
    if moves_unet(mode):
        raise EngineError(
            f"The mode {mode} moves weights while the UNet runs, which compiled code does not "
            "follow; choose the mode encoder-offload, tiled or resident, or do not compile."
        )
    if not any(compiler and shutil.which(compiler) for compiler in inductor.cpp.cxx):
        raise EngineError(
            f"PyTorch needs a C++ compiler to compile the UNet, and {inductor.cpp.cxx[-1]} is not "
            "installed here; install it, or do not compile."
        )


def compile_unet(unet: Any, backend: str = "inductor") -> None:
    """Compile the UNet in place, at its first run and for each new size of pictures.

    Its parameters stay inputs of the compiled code: weights written in place count at the next
    run, and nothing is compiled again.
    """
    unet.compile(backend=backend)
