"""Random weights and LoRAs: of SDXL's real shape, different everywhere, and repeatable."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from engine.bench import subject as subject_module
from engine.bench.random_loras import lora_bytes, lora_layers, write_random_loras
from engine.bench.random_model import SPREAD, random_parts
from engine.bench.subject import Subject, random_subject
from engine.checkpoint.outline import outline_of
from engine.errors import EngineError
from engine.lora.file import read_lora_header
from engine.lora.targets import TargetTable
from engine.switch.fit import fit

CPU = torch.device("cpu")


def test_the_layers_of_sdxl_are_those_that_loras_change() -> None:
    unet = outline_of(None, torch.float16)["unet"]
    layers = list(lora_layers(unet))
    assert len(layers) == 722
    assert sum(layer.weight.nbytes for _, layer in layers) == 4_415_488_000
    assert lora_bytes(unet, 32) == 2 * lora_bytes(unet, 16)


def test_weights_are_normal_and_no_two_tensors_are_alike() -> None:
    parts = random_parts(torch.float16, CPU, small=True)
    weights = [p for part in parts.values() for p in part.parameters() if p.numel() > 5000]
    for weight in weights:
        assert weight.dtype == torch.float16
        assert float(weight.float().std()) == pytest.approx(SPREAD, rel=0.1)
    starts = {tuple(weight.flatten()[:8].tolist()) for weight in weights}
    assert len(starts) == len(weights)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, same, other = (
        random_parts(torch.float16, CPU, small=True, seed=seed)["unet"].conv_in.weight
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_loras_fit_every_layer_at_their_rank(subject: Subject, tmp_path: Path) -> None:
    unet = subject.parts["unet"]
    table = TargetTable(subject.parts)
    folder = tmp_path / "rank 5"
    folder.mkdir()
    (path,) = write_random_loras(folder, unet, rank=5, count=1)
    adapters, report = fit(read_lora_header(path), table, subject.parts)
    assert report.matched == len(list(lora_layers(unet))) == 192
    assert not report.warnings
    assert report.base_model == "SDXL"
    assert {adapter.up.shape[1] for adapter in adapters.values()} == {5}
    assert path.stat().st_size == pytest.approx(lora_bytes(unet, 5), rel=0.5)


def test_the_source_reads_the_base_again(subject: Subject) -> None:
    for path, layer in lora_layers(subject.parts["unet"]):
        assert subject.source is not None
        assert torch.equal(subject.source.read("unet", f"{path}.weight"), layer.weight)


@pytest.mark.parametrize("scarce", ["memory", "disk"])
def test_full_size_is_refused_with_numbers_where_there_is_no_room(
    scarce: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nothing:
        available = free = 2**30

    class Plenty:
        available = free = 2**40

    memory, disk = (Nothing, Plenty) if scarce == "memory" else (Plenty, Nothing)
    monkeypatch.setattr(psutil, "virtual_memory", memory)
    monkeypatch.setattr(subject_module.shutil, "disk_usage", lambda folder: disk())
    where = "main memory" if scarce == "memory" else "the folder for temporary files"
    with pytest.raises(EngineError, match=rf"needs \d+\.\d GiB of {where}, and 1\.0 GiB are free"):
        random_subject(tmp_path, rank=32, device="cpu")
    assert not list(tmp_path.iterdir())
