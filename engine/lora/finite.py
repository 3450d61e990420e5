"""Whether the values of a LoRA are finite, looked at by a GPU: a CPU takes longer than to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter

import torch

from engine.lora.tensors import ALIGNMENT, count_non_finite


def are_finite(tensors: Iterable[torch.Tensor], device: torch.device) -> bool:
    """Whether all values of a file that was read are finite, by one copy to a device.

    `tensors` lie in one buffer as `read_tensors` has put them there; what lies elsewhere is small,
    and looked at where it is. False too where the device has no memory: then nothing is known.
    """
    values = [t for t in tensors if not t.is_meta and t.is_floating_point() and t.numel()]
    if not values:
        return True
    storage = max(values, key=lambda tensor: tensor.nbytes).untyped_storage()
    start = storage.data_ptr()
    inside = [tensor for tensor in values if tensor.untyped_storage().data_ptr() == start]
    outside = [tensor for tensor in values if tensor.untyped_storage().data_ptr() != start]
    if count_non_finite({str(number): tensor for number, tensor in enumerate(outside)}):
        return False
    try:
        sent = torch.empty(0, dtype=torch.uint8).set_(storage).to(device, non_blocking=True)
        ends = [end for run in _runs(inside, start, sent) for end in torch.aminmax(run)]
        # In float32, which has all but the largest of float64: those are looked at once more.
        return bool(torch.stack([end.float() for end in ends]).isfinite().all())
    except torch.OutOfMemoryError:
        return False


def _runs(
    tensors: Iterable[torch.Tensor], start: int, sent: torch.Tensor
) -> Iterator[torch.Tensor]:
    """Tensors of one dtype that lie one behind the other, each time as one; zeros are between."""
    found = [(tensor.data_ptr() - start, tensor.nbytes, tensor.dtype) for tensor in tensors]
    found.sort(key=itemgetter(0))
    first, _, dtype = found[0]
    end = first
    for place, size, kind in found:
        if kind != dtype or place - end >= ALIGNMENT:
            yield _part(sent, first, end, dtype)
            first, dtype = place, kind
        end = place + size
    yield _part(sent, first, end, dtype)


def _part(sent: torch.Tensor, first: int, end: int, dtype: torch.dtype) -> torch.Tensor:
    part = sent[first:end].view(dtype)
    # float8 has no smallest and largest of its own.
    return part.half() if dtype.itemsize == 1 else part
