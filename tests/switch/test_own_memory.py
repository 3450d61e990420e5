"""Weights that share memory are refused when the switcher is made, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from engine.errors import SwitchError
from engine.protocol.refs import LoraRef
from engine.switch.own_memory import require_own_memory
from engine.switch.switcher import LoraSwitcher
from tests.support.tiny_sdxl import make_parts
from tests.switch.conftest import same_bits

TO_K = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
TO_V = TO_K.replace("to_k", "to_v")
Pair = tuple[torch.Tensor, torch.Tensor]


def set_weights(parts: dict[str, nn.Module], pair: Pair) -> None:
    for path, weight in zip((TO_K, TO_V), pair, strict=True):
        layer = parts["unet"].get_submodule(path)
        layer.weight = nn.Parameter(weight, requires_grad=False)


def the_same(k: torch.Tensor, v: torch.Tensor) -> Pair:
    return k, k.view_as(k)


def overlapping(k: torch.Tensor, v: torch.Tensor) -> Pair:
    both = torch.cat([k, v])
    return both[: len(k)], both[len(k) - 1 : -1]


def expanded(k: torch.Tensor, v: torch.Tensor) -> Pair:
    return k[:1].expand_as(k), v


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (the_same, rf"{TO_K}.weight and unet.{TO_V}.weight are the same memory"),
        (overlapping, rf"{TO_K}.weight and unet.{TO_V}.weight are the same memory"),
        (expanded, rf"Several values of unet.{TO_K}.weight are one in memory"),
    ],
)
def test_shared_memory_is_refused(share: Callable[..., Pair], words: str) -> None:
    parts = make_parts()
    layers = (parts["unet"].get_submodule(path).weight.detach() for path in (TO_K, TO_V))
    set_weights(parts, share(*layers))
    with pytest.raises(SwitchError, match=words):
        LoraSwitcher(**parts)


def side_by_side(k: torch.Tensor, v: torch.Tensor) -> Pair:
    both = torch.cat([k, v])
    return both[: len(k)], both[len(k) :]


def transposed(k: torch.Tensor, v: torch.Tensor) -> Pair:
    return k.T.contiguous().T, v


def with_gaps(k: torch.Tensor, v: torch.Tensor) -> Pair:
    return torch.stack([k, k], dim=2).flatten(1)[:, ::2], v


def in_columns(k: torch.Tensor, v: torch.Tensor) -> Pair:
    both = torch.cat([k, v], dim=1)
    return both[:, : k.shape[1]], both[:, k.shape[1] :]


@pytest.mark.parametrize("order", [side_by_side, transposed, with_gaps, in_columns])
def test_weights_in_any_order_of_their_own_are_changed_and_come_back(
    order: Callable[..., Pair], tmp_path: Path
) -> None:
    parts = make_parts()
    layers = [parts["unet"].get_submodule(path) for path in (TO_K, TO_V)]
    before = [layer.weight.detach().clone() for layer in layers]
    set_weights(parts, order(*before))
    generator = torch.Generator().manual_seed(0)
    up = torch.randn(before[0].shape[0], 2, generator=generator)
    down = torch.randn(2, before[0].shape[1], generator=generator)
    name = "lora_unet_" + TO_K.replace(".", "_")
    path = tmp_path / "x.safetensors"
    save_file({f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}, path)
    switcher = LoraSwitcher(**parts)
    switcher.apply([LoraRef(path)])
    torch.testing.assert_close(layers[0].weight, before[0] + up @ down)
    assert same_bits(layers[1].weight, before[1])
    assert not switcher.verify().different
    switcher.apply([])
    assert same_bits(layers[0].weight, before[0])


@pytest.mark.parametrize(
    ("third", "shared_with"),
    [
        (lambda memory: memory[2:, 3:4], "left"),
        (lambda memory: memory[2:, 4:5], "right"),
        (lambda memory: memory.view(torch.float16)[1:, 7:8], "left"),
        (lambda memory: memory.view(torch.float16)[1:, 12:], None),
    ],
)
def test_what_lies_between_the_values_of_others_is_told_from_what_is_theirs(
    third: Callable[[torch.Tensor], torch.Tensor], shared_with: str | None
) -> None:
    memory = torch.zeros(4, 8)
    weights = {"left": memory[:, :4], "right": memory[:, 4:6], "third": third(memory)}
    if shared_with is None:
        require_own_memory(weights.items())
        return
    with pytest.raises(SwitchError, match=f"{shared_with} and third are the same memory"):
        require_own_memory(weights.items())


def test_tensors_that_keep_their_values_elsewhere_are_not_taken_for_one() -> None:
    class Wrapper(torch.Tensor):
        @classmethod
        def __torch_dispatch__(cls, *call: object) -> NoReturn:
            raise AssertionError(call)

    wrapped = [torch.Tensor._make_wrapper_subclass(Wrapper, (4, 4)) for _ in range(2)]
    require_own_memory(zip("ab", wrapped, strict=True))


def test_one_parameter_in_two_modules_is_one_weight() -> None:
    parts = make_parts()
    first, second = (parts["unet"].get_submodule(path) for path in (TO_K, TO_V))
    second.weight = first.weight
    assert LoraSwitcher(**parts).state == "base"
