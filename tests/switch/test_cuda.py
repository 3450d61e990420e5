"""Switches on a real GPU: every tier is exact, and what was captured or compiled stays valid."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch

from engine.checkpoint import open_checkpoint
from engine.protocol.refs import LoraRef
from engine.protocol.reports import Tier
from engine.switch import grouped
from engine.switch import tier as tiers
from engine.switch.switcher import LoraSwitcher
from tests.switch.conftest import same_bits

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

PARTS = ("unet", "text_encoder", "text_encoder_2")
NAMES = ("neon", "styles/ink", "styles/wash")


class OnGpu:
    """The tiny checkpoint on the GPU with a switcher, and what it was at load."""

    def __init__(self, path: Path, loras: Path, tier: Tier, dtype: torch.dtype) -> None:
        checkpoint = open_checkpoint(path, device="cuda:0", dtype=dtype)
        self.modules = {name: getattr(checkpoint.pipeline, name) for name in PARTS}
        self.switcher = LoraSwitcher(**self.modules, backup=tier, source=checkpoint.source)
        self.stack = [LoraRef(loras / f"{name}.safetensors", 0.7) for name in NAMES]
        self.base = {name: weight.clone() for name, weight in self.weights().items()}

    def weights(self) -> dict[str, torch.Tensor]:
        return {
            f"{part}.{name}": parameter.detach()
            for part, module in self.modules.items()
            for name, parameter in module.named_parameters()
        }

    def addresses(self) -> dict[str, int]:
        return {name: weight.data_ptr() for name, weight in self.weights().items()}

    def differing(self) -> list[str]:
        return [n for n, weight in self.weights().items() if not same_bits(weight, self.base[n])]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("tier", ["device", "a part", "cpu", "file"])
def test_every_tier_goes_back_to_the_exact_base_in_the_same_memory(
    tiny_checkpoint: Path,
    tiny_loras: Path,
    tier: Literal["a part"] | Tier,
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if tier == "a part":
        tier = "device"
        monkeypatch.setattr(tiers, "room_on", lambda device: 200_000)
    model = OnGpu(tiny_checkpoint, tiny_loras, tier, dtype)
    addresses = model.addresses()
    pipe = open_checkpoint(tiny_checkpoint, device="cpu", dtype=dtype).pipeline
    on_cpu = {name: getattr(pipe, name) for name in PARTS}
    beside = LoraSwitcher(**on_cpu)
    for count in (1, 3, 2):
        model.switcher.apply(model.stack[:count])
        beside.apply(model.stack[:count])
        cpu = {n: p for part in PARTS for n, p in on_cpu[part].named_parameters(prefix=part)}
        for name, weight in model.weights().items():
            torch.testing.assert_close(weight.cpu(), cpu[name])
    model.switcher.apply([])
    assert (model.differing(), model.switcher.verify().different) == ([], ())
    assert model.addresses() == addresses


def test_plain_products_without_triton_give_the_same(
    tiny_checkpoint: Path, tiny_loras: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = OnGpu(tiny_checkpoint, tiny_loras, "device", torch.float16)
    model.switcher.apply(model.stack)
    by_kernels = {name: weight.clone() for name, weight in model.weights().items()}
    model.switcher.apply([])
    monkeypatch.setattr(grouped, "kernels_run_on", lambda device: False)
    # What was made ready for kernels goes with it.
    model.switcher.free_device_cache()
    model.switcher.apply(model.stack)
    equal = [(w == by_kernels[n]).flatten() for n, w in model.weights().items()]
    assert torch.cat(equal).double().mean() >= 0.999


def test_a_captured_graph_runs_the_new_weights(tiny_checkpoint: Path, tiny_loras: Path) -> None:
    model = OnGpu(tiny_checkpoint, tiny_loras, "device", torch.float16)
    layer = model.modules["unet"].get_submodule(
        "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    )
    inputs = torch.randn(2, layer.in_features, device="cuda", dtype=torch.float16)
    layer(inputs)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = layer(inputs)
    graph.replay()
    at_base = output.clone()
    model.switcher.apply(model.stack)
    graph.replay()
    assert torch.equal(output, layer(inputs))
    assert not torch.equal(output, at_base)
    model.switcher.apply([])
    graph.replay()
    assert torch.equal(output, at_base)
