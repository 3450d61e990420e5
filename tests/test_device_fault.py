"""Which faults of a GPU last until the process ends."""

from __future__ import annotations

import pytest
import torch

from engine.device_fault import is_lost_device


class AcceleratorError(RuntimeError):
    """As PyTorch calls it from 2.8 on."""


@pytest.mark.parametrize(
    ("error", "is_lost"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (AcceleratorError("CUDA error: unspecified launch failure"), True),
        (AcceleratorError("the device is gone"), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), False),
        (RuntimeError("CUDA error: out of memory"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("CUDA error: not from CUDA"), False),
    ],
)
def test_sticky_faults_are_told_from_others(error: Exception, is_lost: bool) -> None:
    assert is_lost_device(error) == is_lost
