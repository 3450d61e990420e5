"""The work of a stack, the floor made of it, and the peak of memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.bench import limits
from engine.bench.limits import Floor
from engine.bench.memory import PeakMemory
from engine.bench.random_loras import lora_layers
from engine.bench.steadiness import Steadiness
from engine.bench.subject import Subject
from engine.bench.switches import Case, measure
from engine.bench.work import Works, union_bytes
from engine.switch.switcher import LoraSwitcher

CPU = torch.device("cpu")
RANK = 3


def test_a_stack_joins_ranks_and_counts_each_weight_once(subject: Subject) -> None:
    works = Works(subject.parts)
    one, both = works.of(subject.loras[:1]), works.of(subject.loras)
    layers = [layer.weight for _, layer in lora_layers(subject.parts["unet"])]
    assert one.bytes == both.bytes == union_bytes([one, both]) == sum(w.nbytes for w in layers)
    assert one.flops == sum(2 * RANK * weight.numel() for weight in layers)
    assert both.flops == 2 * one.flops
    assert {rank for _, rank, _ in both.products} == {2 * RANK}
    assert sum(one.products.values()) == len(layers)
    assert works.of(()).bytes == 0


def test_the_floor_is_a_copy_of_what_is_touched_and_the_products(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = Works(subject.parts)
    work, nothing = works.of(subject.loras[:1]), works.of(())
    floor = Floor(subject.parts, [work], CPU)
    monkeypatch.setattr(floor, "_time_copy", lambda over_the_bus: 8.0)
    monkeypatch.setattr(floor, "_time_product", lambda rows, rank, columns: 0.5)
    assert floor.seconds("device", work.bytes, nothing) == 8.0
    assert floor.seconds("file", work.bytes // 2, nothing) == 4.0
    assert floor.seconds("device", work.bytes, work) == 8.0 + 0.5 * floor.tensors


def test_on_a_gpu_copies_and_products_overlap(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Works(subject.parts).of(subject.loras)
    floor = Floor(subject.parts, [work], torch.device("cuda"))
    monkeypatch.setattr(floor, "_time_copy", lambda over_the_bus: 16.0 if over_the_bus else 8.0)
    for rate, seconds in ((work.flops / 2, 8.0), (work.flops / 12, 12.0)):
        monkeypatch.setattr(floor, "_rate", lambda rate=rate: rate)
        assert floor.seconds("device", work.bytes, work) == seconds
    assert floor.seconds("cpu", work.bytes, work) == 16.0


def test_the_slower_part_of_backups_on_and_off_the_gpu_counts(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = Works(subject.parts)
    work, nothing = works.of(subject.loras), works.of(())
    floor = Floor(subject.parts, [work], torch.device("cuda"))
    timed: list[bool] = []

    def time_copy(over_the_bus: bool) -> float:
        timed.append(over_the_bus)
        return 16.0 if over_the_bus else 8.0

    monkeypatch.setattr(floor, "_time_copy", time_copy)
    monkeypatch.setattr(floor, "_rate", lambda: 1e30)
    assert floor.seconds("device", work.bytes, nothing) == 8.0
    assert timed == [False], "with all on the GPU nothing is pinned"
    for on_gpu, seconds in ((0.75, 6.0), (0.5, 8.0), (0.25, 12.0), (0.0, 16.0)):
        assert floor.seconds("device", work.bytes, nothing, on_gpu) == seconds
        assert floor.seconds("cpu", work.bytes, nothing, on_gpu) == 16.0
    assert floor.seconds("device", work.bytes // 2, nothing, 0.25) == 6.0


@pytest.mark.parametrize("is_back", [False, True])
def test_a_switch_is_held_against_the_floor_of_where_its_backups_were(
    is_back: bool, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = Works(subject.parts)
    floor = Floor(subject.parts, [works.of(subject.loras)], torch.device("cuda"))
    monkeypatch.setattr(floor, "_time_copy", lambda over_the_bus: 16.0 if over_the_bus else 8.0)
    monkeypatch.setattr(floor, "_rate", lambda: 1e30)
    monkeypatch.setattr(
        LoraSwitcher, "backup_bytes_on_gpu", property(lambda own: own.backup_bytes // 4)
    )
    given: Any = subject.parts
    switcher = LoraSwitcher(**given, backup="device")
    stack = subject.loras[:1]
    case = Case("there", stack, ()) if is_back else Case("there", (), stack)
    steadiness = Steadiness(1, CPU, over_the_bus=False)
    found = measure(case, "device", switcher, works, floor, steadiness, CPU, 1)
    assert found.floor == pytest.approx(0.75 * 16.0)


def test_products_are_measured_in_blocks_and_counted_whole(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = Floor(subject.parts, [Works(subject.parts).of(subject.loras)], CPU)
    monkeypatch.setattr(limits, "seconds_of", lambda action, device: 1.0)
    assert floor._time_product(100, 4, 1000) == 1.0
    assert floor._time_product(2 * 409, 4, 3 * 1280) == 6.0


def test_measuring_the_floor_leaves_the_weights_as_they_are(subject: Subject) -> None:
    before = [layer.weight.clone() for _, layer in lora_layers(subject.parts["unet"])]
    work = Works(subject.parts).of(subject.loras)
    floor = Floor(subject.parts, [work], CPU)
    assert floor.seconds("device", work.bytes, work) > floor.copy_seconds("device") > 0
    after = [layer.weight for _, layer in lora_layers(subject.parts["unet"])]
    assert all(map(torch.equal, before, after))


def test_the_peak_counts_memory_that_is_given_back_before_the_end() -> None:
    size = 256 << 20
    with PeakMemory(CPU) as peak:
        held = torch.ones(size, dtype=torch.uint8)
        # Work on it for a while, as a merge does.
        for _ in range(20):
            held.add_(1)
        del held
    assert 0.8 * size < peak.host_bytes < 2 * size
    assert peak.device_bytes == 0
