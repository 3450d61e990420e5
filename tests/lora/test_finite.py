"""Values looked at by a device, here the CPU: strange ones are found, whatever lies between."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine.errors import LoraRefusedError
from engine.host_memory import HostMemory
from engine.lora import finite
from engine.lora.cache import LoraCache
from engine.lora.file import LoraFile, read_lora_header, read_values
from engine.lora.finite import are_finite

CPU = torch.device("cpu")
KEY = "lora_unet_input_blocks_4_1_proj_in"
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e5m2)


class Dirty(HostMemory):
    """Memory that holds what is no number in any type."""

    def buffer(self, size: int) -> torch.Tensor:
        return super().buffer(size).fill_(0xFF)


def read(path: Path, tensors: dict[str, torch.Tensor]) -> LoraFile:
    save_file(tensors, path)
    return read_values(read_lora_header(path), Dirty())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("odd", [torch.float32, torch.float16], ids=str)
def test_one_value_that_is_not_finite_is_found_wherever_it_is(
    tmp_path: Path, dtype: torch.dtype, odd: torch.dtype
) -> None:
    """Sizes leave gaps behind them, and other types stand between."""
    tensors = {
        f"{KEY}.lora_down.weight": torch.full((3, 5), -0.5).to(dtype),
        f"{KEY}.lora_up.weight": torch.full((7, 3), 50000.0).to(dtype),
        f"{KEY}.alpha": torch.tensor(3.0).to(odd),
    }
    path = tmp_path / "a.safetensors"
    assert are_finite(read(path, tensors).values, CPU)
    for name, tensor in tensors.items():
        for place in (0, -1):
            for value in (float("nan"), float("inf"), float("-inf")):
                wrong = tensor.clone().view(-1)
                wrong[place] = value
                file = read(path, {**tensors, name: wrong.view(tensor.shape)})
                assert not are_finite(file.values, CPU)


def test_numbers_beyond_float32_are_not_taken_for_finite_nor_nothing_for_strange(
    tmp_path: Path,
) -> None:
    assert are_finite([], CPU)
    assert are_finite([torch.ones(4, device="meta"), torch.ones(2, dtype=torch.int32)], CPU)
    assert not are_finite([torch.tensor([1e300], dtype=torch.float64)], CPU), (
        "left to the other way"
    )


def test_without_memory_on_the_device_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(finite.torch, "aminmax", full)
    assert not are_finite([torch.ones(4)], CPU)


def test_what_a_check_refuses_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({f"{KEY}.lora_{r}.weight": torch.ones(4, 4) for r in ("up", "down")}, path)
    cache, opened = LoraCache(), read_lora_header(path)

    def refuse(file: LoraFile) -> None:
        raise LoraRefusedError("damaged")

    with pytest.raises(LoraRefusedError, match="damaged"):
        cache.read(opened, frozenset(opened.tensors), check=refuse)
    assert cache.bytes == 0
