"""A UNet on a GPU with its text encoders in main memory: each has its backups where it is.

The device `meta` stands for the GPU: what lies there has no values, but a place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from engine.errors import SwitchError
from engine.lora.cache import LoraCache
from engine.protocol.refs import LoraRef
from engine.protocol.reports import Tier
from engine.switch import backup, loras, tier
from engine.switch.backup import Backups, copy_all
from engine.switch.loras import ModelLoras
from engine.switch.plan import WeightName
from engine.switch.visits import Visits, copy_on, home_of

CARD, HOST, CUDA = torch.device("meta"), torch.device("cpu"), torch.device("cuda:0")
ENCODER = WeightName("text_encoder", "layer", "weight")
UNET = [WeightName("unet", f"layer_{number}", "weight") for number in range(3)]


@pytest.fixture
def weights() -> dict[WeightName, torch.Tensor]:
    """The encoder's comes first."""
    return {
        ENCODER: torch.arange(10.0),
        **{name: torch.empty(10, device=CARD) for name in UNET},
    }


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The card has room for two weights; what lies there has no values to copy from."""

    def copy_values(targets: Sequence[torch.Tensor], sources: Sequence[torch.Tensor]) -> None:
        pairs = [(t, s) for t, s in zip(targets, sources, strict=True) if not s.is_meta]
        copy_all([t for t, _ in pairs], [s for _, s in pairs])

    monkeypatch.setattr(tier, "room_on", lambda device: 80 if device == CARD else 0)
    monkeypatch.setattr(backup, "copy_all", copy_values)


def places(backups: Backups) -> list[str]:
    return [backups.get(name).device.type for name in (ENCODER, *UNET)]


def test_room_on_the_gpu_is_for_the_weights_that_are_there(
    weights: dict[WeightName, torch.Tensor], room: None
) -> None:
    backups = Backups("device")
    backups.save(weights)
    assert places(backups) == ["cpu", "meta", "meta", "cpu"]
    assert torch.equal(backups.get(ENCODER), weights[ENCODER])
    assert backups.bytes_on_gpu == 80


def test_moved_backups_lie_where_their_weights_do(
    weights: dict[WeightName, torch.Tensor], room: None
) -> None:
    backups = Backups("cpu")
    backups.save(weights)
    assert places(backups) == ["cpu"] * 4
    backups.move("device", weights.__getitem__, lambda: None)
    assert places(backups) == ["cpu", "meta", "meta", "cpu"]
    assert torch.equal(backups.get(ENCODER), weights[ENCODER])


def test_what_stays_on_a_device_is_copied_at_once(
    weights: dict[WeightName, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[set[tuple[str, str]]] = []
    foreach = torch._foreach_copy_

    def copy(to: Sequence[torch.Tensor], from_: Sequence[torch.Tensor], **given: Any) -> None:
        groups.append({(t.device.type, f.device.type) for t, f in zip(to, from_, strict=True)})
        foreach(to, from_, **given)

    monkeypatch.setattr(torch, "_foreach_copy_", copy)
    sources = [*weights.values()]
    targets = [torch.zeros_like(weight) for weight in sources]
    copy_all([*targets, torch.zeros(10, device=CARD)], [*sources, torch.ones(10)])
    assert groups == [{("cpu", "cpu")}, {("meta", "meta")}, {("meta", "cpu")}]
    assert torch.equal(targets[0], weights[ENCODER])


@pytest.mark.parametrize(("memory", "chosen"), [(8, "device"), (6, "file")])
def test_main_memory_has_to_hold_the_backups_of_what_is_there(
    monkeypatch: pytest.MonkeyPatch, memory: int, chosen: Tier
) -> None:
    """The GPU has room for 2 of the UNet's 3, and none for what the encoders have."""
    held = {"unet": (CUDA, 3), "text_encoder": (HOST, 1), "text_encoder_2": (HOST, 1)}
    parts = {
        part: SimpleNamespace(
            parameters=lambda place=place: iter([SimpleNamespace(device=place[0], nbytes=place[1])])
        )
        for part, place in held.items()
    }
    monkeypatch.setattr(tier, "room_on", lambda device: 2 if device == CUDA else 1 << 60)
    monkeypatch.setattr(tier, "HEADROOM_BYTES", 3)
    monkeypatch.setattr(tier, "free_pinned", lambda: 0)
    free = SimpleNamespace(available=memory)
    monkeypatch.setattr(tier.psutil, "virtual_memory", lambda: free)
    found = tier.choose_tier("auto", parts, has_source=True)  # type: ignore[arg-type]
    assert found == chosen
    free.available = 4
    tier.require_memory("device", {CUDA: 3, HOST: 3})
    tier.require_memory("cpu", {CUDA: 3, HOST: 1})
    with pytest.raises(SwitchError, match="nothing was changed"):
        tier.require_memory("device", {CUDA: 1, HOST: 5})
    with pytest.raises(SwitchError, match="nothing was changed"):
        tier.require_memory("cpu", {CUDA: 3, HOST: 2})


@pytest.mark.parametrize("is_away", [False, True])
def test_factors_are_sent_to_the_gpu_for_the_weights_that_live_there(
    opened: Callable[[torch.dtype], dict[str, nn.Module]],
    tiny_loras: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_away: bool,
) -> None:
    """Also when a LoRA is sent ahead while an encoder is on the GPU for a call."""
    parts = {name: deepcopy(part) for name, part in opened(torch.float16).items()}
    parts["unet"] = parts["unet"].to(CARD)
    monkeypatch.setattr(loras, "is_gpu", lambda device: True)
    monkeypatch.setattr(loras, "lora_bytes", lambda device: 1 << 30)
    of_model = ModelLoras(parts, LoraCache(), lambda: CARD)
    read = of_model.prefetch(LoraRef(tiny_loras / "neon.safetensors"), lambda: False)
    assert read is not None
    file, adapters = read
    sent: list[Any] = []

    def send(*_: object) -> None:
        sent.append(of_model.where_the_weights_are(file, adapters))

    if is_away:
        for part in ("text_encoder", "text_encoder_2"):
            encoder = parts[part]
            encoder.forward = send  # type: ignore[method-assign]
            encoder.forward = Visits(encoder, CARD)  # type: ignore[method-assign]
        parts["text_encoder"](torch.zeros(1, 77, dtype=torch.long))
    else:
        send()
    for name, adapter in sent[0].items():
        if name.part == "unet":
            assert adapter.up.is_meta
        else:
            assert adapter is adapters[name]
    assert {name.part for name in adapters} == set(parts)


def test_a_copy_for_a_visit_is_on_the_device_and_home_is_not() -> None:
    network = nn.Linear(2, 2).requires_grad_(False)
    found: list[tuple[bool, bool, bool, torch.device]] = []

    def look(given: torch.Tensor, *, also: torch.Tensor) -> None:
        weight = network.get_parameter("weight")
        found.append((weight.is_meta, given.is_meta, also.is_meta, home_of(network)))

    network.forward = look  # type: ignore[assignment,method-assign]
    network.forward = Visits(network, CARD)  # type: ignore[method-assign]
    weight = network.weight
    network(torch.zeros(1), also=torch.zeros(1))
    assert found == [(True, True, True, HOST)]
    assert network.weight is weight
    assert copy_on(HOST, weight) is weight
