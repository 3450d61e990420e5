"""Models inside PEFT's layers, or what distributes them: LoRAs change the weights within."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model, inject_adapter_in_model
from torch import nn

from engine.protocol.refs import LoraRef
from engine.switch.switcher import LoraSwitcher
from tests.switch.conftest import Loaded, same_bits

Wrap = Callable[[nn.Module], nn.Module]


def with_adapters(unet: nn.Module) -> nn.Module:
    """As diffusers' `load_lora_weights` leaves it."""
    inject_adapter_in_model(LoraConfig(r=2, target_modules=["to_q", "to_k"]), unet)
    return unet


def in_peft_model(unet: nn.Module) -> nn.Module:
    model: nn.Module = get_peft_model(unet, LoraConfig(r=2, target_modules=["to_v"]))
    return model


WRAPS: dict[str, Wrap] = {
    "adapters within": with_adapters,
    "PEFT's model": in_peft_model,
    "DataParallel": nn.DataParallel,
}


def base_weights(unet: nn.Module) -> list[torch.Tensor]:
    """The model's own weights, in its order."""
    return [p.detach() for name, p in unet.named_parameters() if "lora_" not in name]


@pytest.mark.parametrize("blocks", [(), (("IN04", 0.0), ("MID", 0.5))], ids=str)
@pytest.mark.parametrize("wrap", WRAPS)
def test_the_weights_within_are_those_of_the_bare_model(
    loaded: Loaded, wrap: str, blocks: tuple[tuple[str, float], ...]
) -> None:
    bare = copy.deepcopy(loaded.parts["unet"])
    wrapped = WRAPS[wrap](copy.deepcopy(bare))
    before = [weight.clone() for weight in base_weights(wrapped)]
    ref = LoraRef(Path(loaded.loras / "neon.safetensors"), 0.7, 0.0, blocks=blocks)
    matched = []
    switchers = [LoraSwitcher(bare), LoraSwitcher(wrapped)]
    for switcher in switchers:
        matched.append(switcher.apply([ref]).loras[0].matched)
    assert matched[0] == matched[1] > 0
    pairs = list(zip(base_weights(bare), base_weights(wrapped), strict=True))
    assert all(same_bits(one, other) for one, other in pairs)
    assert not all(same_bits(one, old) for (one, _), old in zip(pairs, before, strict=True))
    switchers[1].apply([])
    back = zip(base_weights(wrapped), before, strict=True)
    assert all(same_bits(one, old) for one, old in back)
    assert not switchers[1].verify().different
