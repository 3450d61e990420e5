"""Backups of which a GPU has room for some only: the rest is in main memory, and all are exact.

A CPU is taken for the GPU: what `HostMemory` gives is main memory, all else is the GPU's.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.errors import SwitchError
from engine.switch import backup, base, tier
from tests.support.kernel_stand_in import KernelStandIn, take_cpu_for_gpu
from tests.switch.conftest import Loaded

CUDA = torch.device("cuda:0")


class Card:
    """A GPU with some bytes of room, and what was placed in main memory."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.room = 0
        self.is_split = False
        self.host: dict[int, torch.Tensor] = {}
        like = backup.HostMemory.like

        def placed(memory: backup.HostMemory, tensor: torch.Tensor, *dtype: Any) -> torch.Tensor:
            copy = like(memory, tensor, *dtype)
            self.host[copy.data_ptr()] = copy
            return copy

        def empty_like(tensor: torch.Tensor, **given: object) -> torch.Tensor:
            if self.is_split:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return torch.zeros_like(tensor)

        def is_beside(copy: torch.Tensor, live: torch.Tensor) -> bool:
            return copy.data_ptr() not in self.host

        patch.setattr(backup.HostMemory, "like", placed)
        patch.setattr(backup, "torch", SimpleNamespace(**vars(torch) | {"empty_like": empty_like}))
        patch.setattr(tier, "room_on", lambda device: self.room)
        for module in (backup, base):
            patch.setattr(module, "is_beside", is_beside)
        patch.setattr(backup, "is_on_gpu", lambda copy: is_beside(copy, copy))


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    return Card(monkeypatch)


@pytest.fixture(params=["plain", "kernels"])
def merged_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One by one, or by kernels that were made ready."""
    if request.param == "kernels":
        take_cpu_for_gpu(monkeypatch, KernelStandIn())
    return str(request.param)


def test_what_has_no_room_lies_in_main_memory_and_all_switches_are_the_same(
    card: Card, loaded: Loaded, merged_by: str
) -> None:
    """Bit for bit as with all backups on the GPU, with each step back."""
    switcher = loaded.switcher
    neon, ink = loaded.ref("neon", 0.8), loaded.ref("styles/ink", -0.5)
    stacks = [[neon], [neon, ink], [neon.at(0.3)], []]
    card.room = 1 << 40
    wanted = []
    for stack in stacks:
        report = switcher.apply(stack)
        wanted.append({name: weight.clone() for name, weight in loaded.weights().items()})
        assert switcher.backup_bytes_on_gpu == report.backup_bytes
        card.room = min(card.room, report.backup_bytes // 2 or card.room)
    for stack, right in zip(stacks, wanted, strict=True):
        switcher.apply(stack)
        assert all(torch.equal(w, right[name]) for name, w in loaded.weights().items())
        assert switcher.verify().different == ()
        assert bool(stack) == (0 < switcher.backup_bytes_on_gpu < switcher.backup_bytes)
    assert loaded.differing() == []


def test_memory_in_pieces_too_small_is_passed_over(card: Card, loaded: Loaded) -> None:
    card.room, card.is_split = 1 << 40, True
    report = loaded.switcher.apply([loaded.ref("neon")])
    assert report.backup_bytes > loaded.switcher.backup_bytes_on_gpu == 0
    loaded.switcher.apply([])
    assert (loaded.differing(), loaded.switcher.verify().different) == ([], ())


def test_a_fault_while_the_rest_is_backed_up_leaves_the_former_stack(
    card: Card, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    neon = loaded.ref("neon", 0.0, 0.8)
    card.room = loaded.switcher.apply([neon]).backup_bytes
    before = {name: weight.clone() for name, weight in loaded.weights().items()}

    def full(memory: object, tensor: torch.Tensor) -> torch.Tensor:
        raise MemoryError

    with monkeypatch.context() as short:
        short.setattr(backup.HostMemory, "like", full)
        card.room = 4000
        with pytest.raises(SwitchError, match=r"not enough memory.*nothing was changed"):
            loaded.switcher.apply([loaded.ref("neon")])
    assert loaded.switcher.stack == (neon,)
    assert all(torch.equal(w, before[name]) for name, w in loaded.weights().items())
    loaded.switcher.apply([])
    assert (loaded.differing(), loaded.switcher.verify().different) == ([], ())


@pytest.mark.parametrize("fails", [False, True])
def test_backups_move_in_and_out_of_both_memories(
    card: Card, loaded: Loaded, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    held = loaded.switcher.apply([loaded.ref("neon")]).backup_bytes
    loaded.switcher.set_backup("cpu")
    assert loaded.switcher.backup_bytes_on_gpu == 0
    card.room = held // 3
    if fails:
        calls: list[object] = []

        def full(to: object, from_: object) -> None:
            calls.append(to)
            if len(calls) == 5:
                raise torch.OutOfMemoryError("CUDA out of memory")
            copy(to, from_)  # type: ignore[arg-type]

        copy = backup.copy_all
        monkeypatch.setattr(backup, "copy_all", full)
        with pytest.raises(SwitchError, match="they stay where they are"):
            loaded.switcher.set_backup("device")
        assert (loaded.switcher.tier, loaded.switcher.backup_bytes_on_gpu) == ("cpu", 0)
    else:
        loaded.switcher.set_backup("device")
        assert 0 < loaded.switcher.backup_bytes_on_gpu <= card.room
    assert loaded.switcher.backup_bytes == held
    loaded.switcher.apply([])
    assert (loaded.differing(), loaded.switcher.verify().different) == ([], ())


def test_no_more_room_is_given_than_there_is() -> None:
    room = tier.Room(100)
    assert [room.take(n) for n in (60, 50, 40, 1)] == [True, False, True, False]
    closed = tier.Room(100)
    closed.close()
    assert not closed.take(1)


@pytest.mark.parametrize(
    ("gpu", "memory", "chosen"),
    [
        # GiB free on the GPU and in main memory, for a model of 7: 4 of each stay free.
        (12, 1, "device"),
        (6, 10, "device"),
        (6, 8, "file"),
        (3, 12, "device"),
        (3, 10, "file"),
    ],
)
def test_the_device_is_chosen_as_long_as_both_memories_have_room(
    monkeypatch: pytest.MonkeyPatch, gpu: int, memory: int, chosen: str
) -> None:
    weight = SimpleNamespace(device=CUDA, nbytes=7 << 30)
    parts = {"unet": SimpleNamespace(parameters=lambda: iter([weight]))}
    free = SimpleNamespace(available=memory << 30)
    monkeypatch.setattr(tier.psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (gpu << 30, 24 << 30))
    for kind in ("reserved", "allocated"):
        monkeypatch.setattr(torch.cuda, f"memory_{kind}", lambda device: 0)
    assert tier.choose_tier("auto", parts, has_source=True) == chosen  # type: ignore[arg-type]
    most = int(max(0, gpu - 4) + memory) << 30
    tier.require_memory("device", {CUDA: most})
    with pytest.raises(SwitchError, match=r"Backups beside the GPU need .* of main memory"):
        tier.require_memory("device", {CUDA: most + (1 << 30)})
