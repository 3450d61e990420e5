"""Faults after which a GPU is of no use to this process any more."""

from __future__ import annotations

from engine.host_memory import is_out_of_memory


def is_lost_device(error: BaseException) -> bool:
    """Whether every later call to the GPU will fail too, until the process ends.

    CUDA calls such errors sticky: an illegal address, a launch that failed, a card that fell off
    the bus. PyTorch raises `AcceleratorError` for them, before 2.8 a bare `RuntimeError` with
    CUDA's words. Too little memory is none of them.
    """
    if is_out_of_memory(error):
        return False
    is_runtime = isinstance(error, RuntimeError)
    return is_runtime and (
        type(error).__name__ == "AcceleratorError" or str(error).startswith("CUDA error:")
    )
