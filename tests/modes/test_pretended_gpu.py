"""Modes whose weights lie in two memories, on a pretended GPU: nothing is where it does not belong.

The pictures are those of a model that is on the GPU altogether, bit for bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.checkpoint import open_checkpoint
from engine.checkpoint.open import Checkpoint
from engine.modes.place import load_device, place, visitors
from engine.protocol.modes import Mode
from engine.protocol.refs import LoraRef
from engine.protocol.reports import Tier
from engine.switch import grouped
from engine.switch.switcher import LoraSwitcher
from tests.support.kernel_stand_in import KernelStandIn
from tests.support.pretended_gpu import GPU, pretended_gpu
from tests.switch.conftest import same_bits

from .conftest import Drawing

TOUR = ((), ("neon",), ("styles/ink", "neon"), ())
TIERS: tuple[Tier, ...] = ("device", "cpu", "file")
ENCODERS = ("text_encoder", "text_encoder_2")


@pytest.fixture(params=["one by one", "by kernels"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the weights on the GPU are merged by kernels."""
    if request.param == "by kernels":
        kernel = pytest.importorskip("engine.switch.kernel", reason="needs Triton")
        monkeypatch.setattr(kernel, "merge_kernel", KernelStandIn())
    return bool(request.param == "by kernels")


def opened(path: Path, mode: Mode, dtype: torch.dtype = torch.float16) -> Checkpoint:
    checkpoint = open_checkpoint(
        path, device=load_device(mode, str(GPU)), dtype=dtype, visitors=visitors(mode)
    )
    place(checkpoint.pipeline, mode, str(GPU))
    return checkpoint


def weights_of(pipe: Any) -> list[torch.Tensor]:
    parts = ("unet", "vae", *ENCODERS)
    return [weight for part in parts for weight in getattr(pipe, part).parameters()]


def networks_of(pipe: Any) -> list[Any]:
    return [getattr(pipe, part) for part in ("unet", *ENCODERS)]


def test_pictures_are_those_of_a_model_that_is_on_the_gpu_altogether(
    tiny_checkpoint: Path, tiny_loras: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pretended_gpu(monkeypatch):
        expected, pictures = (
            Drawing(opened(tiny_checkpoint, mode).pipeline, tiny_loras, tmp_path).tour(TOUR)
            for mode in ("resident", "encoder-offload")
        )
    assert not np.array_equal(expected[0], expected[1])
    assert all(map(np.array_equal, pictures, expected))


def test_merges_and_backups_are_right_in_every_tier(
    tiny_checkpoint: Path, tiny_loras: Path, monkeypatch: pytest.MonkeyPatch, kernels: bool
) -> None:
    """Each weight is merged where it lies, and has its backup there."""
    stacks = [[LoraRef(tiny_loras / f"{name}.safetensors") for name in names] for names in TOUR]
    with pretended_gpu(monkeypatch):
        if kernels:
            monkeypatch.setattr(grouped, "kernels_run_on", lambda device: device == GPU)
        resident, apart = (opened(tiny_checkpoint, m) for m in ("resident", "encoder-offload"))
        before = [(weight.device.type, weight.data_ptr()) for weight in weights_of(apart.pipeline)]
        switcher = LoraSwitcher(*networks_of(resident.pipeline))
        expected = []
        for stack in stacks:
            switcher.apply(stack)
            expected.append([weight.cpu().clone() for weight in weights_of(resident.pipeline)])
        for tier in TIERS:
            switcher = LoraSwitcher(*networks_of(apart.pipeline), backup=tier, source=apart.source)
            switcher.prefetch(stacks[1][0])
            for stack, wanted in zip(stacks, expected, strict=True):
                switcher.apply(stack)
                weights = [weight.cpu() for weight in weights_of(apart.pipeline)]
                assert all(map(same_bits, weights, wanted)), (tier, stack)
            assert not switcher.verify().different
            switcher.apply(stacks[1])
            beside = {}
            for to in TIERS:
                switcher.set_backup(to)
                beside[to] = switcher.backup_bytes - switcher.backup_bytes_on_gpu
            assert 0 < beside["device"] < beside["cpu"], "the encoders' are in main memory"
            assert beside["file"] == 0
            switcher.apply([])
            assert not switcher.verify().different
        after = [(weight.device.type, weight.data_ptr()) for weight in weights_of(apart.pipeline)]
        assert after == before


def test_weights_that_visit_are_no_pages_of_the_file(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float16, the file's own type, a CPU would map them."""
    with pretended_gpu(monkeypatch):
        checkpoint = opened(tiny_checkpoint, "encoder-offload")
    source = checkpoint.source
    assert source is not None
    mapped = [
        (part, name)
        for part, module in checkpoint.modules.items()
        for name, _ in module.named_parameters()
        if source.is_mapped(part, name)
    ]
    assert mapped == []


def test_what_mixes_both_memories_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu(monkeypatch):
        there = torch.ones(2).to(GPU)
        assert (there + 1).device == GPU
        assert (there.to("cpu") + torch.ones(2)).tolist() == [2.0, 2.0]
        with pytest.raises(RuntimeError, match="on the GPU and on the CPU"):
            there + torch.ones(2)
        with pytest.raises(RuntimeError, match="on the GPU and on the CPU"):
            torch.stack([there.sum(), torch.ones(2).sum()])
