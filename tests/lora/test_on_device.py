"""LoRAs sent to a device: each file by one copy, the adapters the same, the oldest out first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from engine.checkpoint import open_checkpoint
from engine.lora.file import LoraFile, read_lora, read_lora_header
from engine.lora.on_device import DeviceLoras
from engine.lora.targets import TargetTable
from engine.switch.fit import fit
from engine.switch.plan import WeightName
from tests.support.all_formats import write_all_formats

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def parts(tiny_checkpoint: Path) -> dict[str, torch.nn.Module]:
    pipe = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float32).pipeline
    return {name: getattr(pipe, name) for name in ("unet", "text_encoder", "text_encoder_2")}


@pytest.fixture(scope="module")
def files(
    parts: dict[str, torch.nn.Module], tmp_path_factory: pytest.TempPathFactory
) -> list[LoraFile]:
    """Every family that LyCORIS and PEFT can write."""
    folder = tmp_path_factory.mktemp("formats")
    paths = write_all_formats(folder, parts["unet"])
    return [read_lora(read_lora_header(path)) for path in paths]


def test_adapters_of_every_family_are_the_same_there(
    files: list[LoraFile], parts: dict[str, torch.nn.Module]
) -> None:
    loras = DeviceLoras(CPU, 1 << 30)
    table = TargetTable(parts)
    for file in files:
        adapters, _ = fit(file, table, parts)
        moved = loras.adapters(file, adapters)
        assert moved.keys() == adapters.keys()
        for name, adapter in adapters.items():
            base = parts[name.part].get_parameter(name.parameter).detach()
            assert torch.equal(moved[name].delta(base, 0.7), adapter.delta(base, 0.7)), name


class Copies(TorchDispatchMode):
    """Counts copies to another device, and their bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.count = self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if str(func).startswith("aten._to_copy") and not args[0].is_meta and result.is_meta:
            self.count += 1
            self.bytes += result.nbytes
        return result


def test_a_file_is_sent_by_one_copy(
    files: list[LoraFile], parts: dict[str, torch.nn.Module]
) -> None:
    file = max(files, key=lambda file: len(file.modules))
    adapters, _ = fit(file, TargetTable(parts), parts)
    with Copies() as copies:
        DeviceLoras(torch.device("meta"), 1 << 30).adapters(file, adapters)
    assert len(adapters) > 3
    assert (copies.count, copies.bytes) == (1, file.bytes)


def test_the_oldest_go_first_and_the_newest_stays(
    files: list[LoraFile], parts: dict[str, torch.nn.Module]
) -> None:
    first, second, third, fourth = files[:4]
    table = TargetTable(parts)
    fits = {file: fit(file, table, parts)[0] for file in files[:4]}
    loras = DeviceLoras(CPU, first.bytes + second.bytes)

    def ask(file: LoraFile) -> dict[WeightName, object]:
        return dict(loras.adapters(file, fits[file]))

    kept = ask(first)
    ask(second)
    assert ask(first) == kept, "asked for again, it is the newest"
    ask(third)
    assert loras.bytes <= first.bytes + third.bytes
    loras.limit = 0
    ask(fourth)
    assert loras.bytes == fourth.bytes
