"""The demo's LoRAs merged on the demo model, against what their makers' own libraries compute."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import cycle
from pathlib import Path

import pytest
import torch
from lycoris.modules import get_module, make_module
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import nn

from engine.protocol.refs import LoraRef
from engine.switch.switcher import LoraSwitcher
from tests.demo.conftest import demo_loras
from tests.support.effective import effective

Parts = Callable[[torch.dtype], dict[str, nn.Module]]
Weight = Callable[[], torch.Tensor]
HALVES = (torch.float16, torch.bfloat16)
STRENGTH = 1.0
_NAMES = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_a_hundred_random_switches_leave_no_trace(demo_parts: Parts, dtype: torch.dtype) -> None:
    parts = demo_parts(dtype)
    before = {
        (part, name): parameter.detach().clone()
        for part, module in parts.items()
        for name, parameter in module.named_parameters()
    }
    switcher = LoraSwitcher(**parts)
    chance = random.Random(17)
    files = demo_loras()
    for _ in range(100):
        chosen = chance.sample(files, chance.choice((0, 1, 1, 2, 3)))
        stack = [LoraRef(path, chance.uniform(-1.5, 1.5), chance.uniform(0, 1)) for path in chosen]
        switcher.apply(stack)
    switcher.apply([])
    assert switcher.verify().different == ()
    for (part, name), weight in before.items():
        now = parts[part].get_parameter(name).detach()
        assert torch.equal(now.view(torch.int16), weight.view(torch.int16)), name


@pytest.mark.parametrize(
    ("path", "dtype"),
    zip(demo_loras(), cycle(HALVES), strict=False),
    ids=lambda value: getattr(value, "stem", str(value)),
)
def test_merged_weights_are_the_reference_rounded_once(
    demo_parts: Parts, path: Path, dtype: torch.dtype
) -> None:
    parts = demo_parts(dtype)
    exact = dict(_references(parts, path))
    switcher = LoraSwitcher(**parts)
    report = switcher.apply([LoraRef(path, STRENGTH)])
    try:
        assert report.merged == len(exact)
        right = total = 0
        # Of a few in a row, no two are of one kind.
        for (part, module), weight in list(exact.items())[::8]:
            live = parts[part].get_submodule(module).get_parameter("weight").detach()
            right += int((live == weight().to(dtype)).sum())
            total += live.numel()
    finally:
        switcher.apply([])
    assert right / total >= 0.999, f"{right / total:.5f} of {total} weights"


def _references(
    parts: dict[str, nn.Module], path: Path
) -> Iterator[tuple[tuple[str, str], Weight]]:
    """What LyCORIS' or PEFT's forward makes of each changed module, in float64, when called."""
    tensors = {name: tensor.double() for name, tensor in load_file(path).items()}
    wide = {part: deepcopy(module).double() for part, module in parts.items()}
    if any("lora_A" in name for name in tensors):
        yield from _peft(wide["unet"], tensors)
        return
    found = {re.split(r"\.", name, maxsplit=1)[0] for name in tensors}
    for part, module in wide.items():
        for module_path, layer in module.named_modules():
            for name in _kohya_names(part, module_path):
                if name in found:
                    found.discard(name)
                    adapter = make_module(*get_module(tensors, name), name, layer).double()
                    adapter.multiplier = STRENGTH
                    yield (part, module_path), _weight(layer, adapter.forward)
    assert not found


def _kohya_names(part: str, path: str) -> set[str]:
    flat = path.removeprefix("text_model.").replace(".", "_")
    if part != "unet":
        return {f"{_NAMES[part]}text_model_{flat}"}
    return {_NAMES[part] + flat, _NAMES[part] + _sgm(path).replace(".", "_")}


def _sgm(path: str) -> str:
    """The sgm name as diffusers' own converter pairs them: by block counts, independent of ours."""
    match = re.match(r"(down|up)_blocks\.(\d)\.(resnets|attentions)\.(\d)(.*)", path)
    if match:
        side, block, kind, index, rest = match.groups()
        number = 3 * int(block) + int(index) + (side == "down")
        head = f"{'input' if side == 'down' else 'output'}_blocks.{number}"
        path = f"{head}.{0 if kind == 'resnets' else 1}{rest}"
    for ours, theirs in {
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
        "conv_in": "input_blocks.0.0",
        "conv_out": "out.2",
        "conv1": "in_layers.2",
        "conv2": "out_layers.3",
    }.items():
        path = re.sub(rf"(^|\.){re.escape(ours)}(\.|$)", rf"\g<1>{theirs}\2", path)
    return path


def _peft(
    unet: nn.Module, tensors: dict[str, torch.Tensor]
) -> Iterator[tuple[tuple[str, str], Weight]]:
    inner = {name.removeprefix("unet."): tensor for name, tensor in tensors.items()}
    rank = next(t.shape[0] for name, t in inner.items() if "lora_A" in name)
    modules = sorted({name.split(".lora_")[0] for name in inner})
    layers = {name: unet.get_submodule(name) for name in modules}
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=modules)
    adapted = inject_adapter_in_model(config, unet)
    result = set_peft_model_state_dict(adapted, inner)
    assert not result.unexpected_keys
    for name in modules:
        forward = adapted.get_submodule(name).double().forward
        yield ("unet", name), _weight(layers[name], forward)


def _weight(layer: nn.Module, forward: Callable[[torch.Tensor], torch.Tensor]) -> Weight:
    return lambda: effective(layer, forward)["weight"]
