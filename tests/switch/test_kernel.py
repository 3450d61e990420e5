"""The GPU's kernel: run by Triton's interpreter without a GPU, and compiled for real ones."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from engine.lora.families import LowRank
from engine.switch import grouped
from engine.switch.launches import factors_of
from engine.switch.merge import Merge, merge
from engine.switch.plan import Term
from tests.switch.conftest import Loaded, same_bits

pytest.importorskip("triton", reason="needs Triton, which is not made for this system")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HALF = [torch.float16] + [torch.bfloat16] * torch.cuda.is_available()
"""Triton's interpreter cuts bfloat16 off instead of rounding it."""


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the kernel merge wherever the weights are; collects how many weights a launch has."""
    from engine.switch.kernel import Launch

    run, sizes = Launch.run, []

    def counting(self: Launch, *args: Any) -> None:
        sizes.append(len(self))
        run(self, *args)

    monkeypatch.setattr(Launch, "run", counting)
    monkeypatch.setattr(grouped, "kernels_run_on", lambda device: True)
    return sizes


def term(
    rows: int, columns: int, rank: int, strength: float, dtype: torch.dtype, size: float = 0.05
) -> Term:
    up, down = torch.randn(rows, rank) * size, torch.randn(rank, columns) * size
    adapter = LowRank(up.to(DEVICE, dtype), down.to(DEVICE, dtype), 0.5)
    return Term(adapter, strength, None)  # type: ignore[arg-type]


def exact(base: torch.Tensor, terms: Sequence[Term]) -> torch.Tensor:
    """W0 and all deltas in float64, rounded once."""
    total = base.double()
    for adapter, strength, _ in terms:
        assert isinstance(adapter, LowRank)
        delta = adapter.up.double() @ adapter.down.double()
        total += strength * adapter.scale * delta.reshape(base.shape)
    return total.to(base.dtype)


SHAPES = [(200, 136), (128, 128), (33, 50), (1, 7), (40, 16, 3, 3)]


@pytest.mark.parametrize("weight", HALF, ids=str)
@pytest.mark.parametrize("factor", [*HALF, torch.float32], ids=str)
@pytest.mark.parametrize("ranks", [(4,), (32,), (1, 40, 7)], ids=str)
def test_merged_weights_are_rounded_right(
    launches: list[int], weight: torch.dtype, factor: torch.dtype, ranks: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    merges = []
    for shape in SHAPES * 2:
        base = torch.randn(shape, device=DEVICE).to(weight)
        columns = base[0].numel()
        terms = [term(shape[0], columns, r, 0.8 - i, factor) for i, r in enumerate(ranks)]
        merges.append(Merge(torch.empty_like(base), base, terms))
    merge(merges)
    assert launches == [2] * len(SHAPES), "one launch for each shape"
    right = [(m.live == exact(m.base, m.terms)).flatten() for m in merges]
    assert torch.cat(right).double().mean() >= 0.999


def test_a_weight_merged_in_place_is_the_same(launches: list[int]) -> None:
    base = torch.randn(70, 90, device=DEVICE).half()
    terms = [term(70, 90, 8, 1.0, torch.float16)]
    merge([Merge(apart := torch.empty_like(base), base, terms)])
    merge([Merge(inside := base.clone(), inside, terms)])
    assert torch.equal(apart, inside)
    assert launches == [1, 1]


def test_copies_of_the_bases_are_written_on_the_way_bit_for_bit(launches: list[int]) -> None:
    """Any finite numbers, the smallest too; where no copy is wanted none is written."""
    from engine.switch.launches import Layout, Work, launch_all, new_launch

    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.float16)
    torch.manual_seed(6)
    finite = bits[bits.isfinite()].to(DEVICE)
    for shape in ((64, 80), (33, 50), (24, 4, 3, 3)):
        wide = torch.channels_last if len(shape) == 4 else torch.contiguous_format
        order = torch.randperm(len(finite), device=DEVICE)[: math.prod(shape)]
        base = finite[order].reshape(shape).to(memory_format=wide)
        lives = [base.clone() for _ in range(3)]
        copies = [torch.zeros_like(base), None, torch.zeros_like(base)]
        factors = [term(shape[0], base[0].numel(), 4, 1.0, torch.float16, 0.0)]
        layout = Layout.of(base)
        assert layout is not None
        launch = new_launch(layout, torch.float16, 1)
        for _ in lives:
            launch.add(factors_of(factors, layout), [1.0])
        # The first is merged in place; the last from a base elsewhere.
        work = Work(launch, lives, [*lives[:2], base], copies)
        assert launch_all([work], base.device)
        assert all(same_bits(copy, base) for copy in copies if copy is not None)
    assert launches == [3] * 3


@pytest.mark.parametrize("rank", [1, 4, 6, 12, 20, 27])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_odd_ranks_are_filled_up_and_keep_wide_reads(
    launches: list[int], monkeypatch: pytest.MonkeyPatch, rank: int, dtype: torch.dtype
) -> None:
    """One LoRA of an odd rank does not make the whole stack slow, and merges the same."""
    from engine.switch import kernel

    flags: list[tuple[bool, bool]] = []
    real = kernel.merge_kernel

    class Watched:
        def __getitem__(self, grid: tuple[int, int]) -> Any:
            def run(*args: Any, **given: Any) -> None:
                flags.append((given["WIDE_WEIGHTS"], given["WIDE_FACTORS"]))
                real[grid](*args, **given)

            return run

    monkeypatch.setattr(kernel, "merge_kernel", Watched())
    torch.manual_seed(rank)
    base = torch.randn(48, 64, device=DEVICE).half()
    terms = [term(48, 64, rank, 0.8, dtype), term(48, 64, 32, -0.4, dtype)]
    merge([Merge(live := torch.empty_like(base), base, terms)])
    assert flags == [(True, True)]
    assert (live == exact(base, terms)).double().mean() >= 0.999
    # A weight whose rows begin anywhere loses its own wide reads alone: its factors' rows do too.
    odd = torch.randn(48, 50, device=DEVICE).half()
    terms = [term(48, 50, rank, 0.8, torch.float32)]
    merge([Merge(live := torch.empty_like(odd), odd, terms)])
    assert flags[1:] == [(False, False)]
    assert (live == exact(odd, terms)).double().mean() >= 0.999


def test_channels_last_weights_are_merged_by_the_kernel(launches: list[int]) -> None:
    """The factors are laid out as the weight is, which keeps its layout."""
    torch.manual_seed(3)
    shape = (24, 16, 3, 3)
    base = torch.randn(shape, device=DEVICE).half().to(memory_format=torch.channels_last)
    terms = [term(24, 144, r, 0.7, torch.float16) for r in (4, 16)]
    live = torch.zeros_like(base)
    merge([Merge(live, base, terms)])
    assert launches == [1]
    assert live.stride() == base.stride() != torch.empty(shape).stride()
    assert (live == exact(base, terms)).double().mean() >= 0.999


def test_factors_elsewhere_come_in_pieces(
    launches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A LoRA too large to be held on the GPU is sent and merged a piece at a time."""
    from engine.lora.families import Adapter
    from engine.lora.on_device import moved

    def send(adapter: Adapter, device: torch.device) -> Adapter:
        return moved(adapter, torch.Tensor.clone)

    monkeypatch.setattr(grouped, "sent", send)
    monkeypatch.setattr(grouped, "PIECE_BYTES", 2 * (60 + 80) * 4 * 2)
    torch.manual_seed(4)
    merges = []
    for _ in range(5):
        base = torch.randn(60, 80, device=DEVICE).half()
        merges.append(Merge(base.clone(), base, [term(60, 80, 4, 1.0, torch.float16)]))
    merge(merges)
    assert launches == [2, 2, 1]
    right = [(m.live == exact(m.base, m.terms)).flatten() for m in merges]
    assert torch.cat(right).double().mean() >= 0.999


def test_what_the_kernel_cannot_do_is_merged_otherwise(launches: list[int]) -> None:
    """Gaps in a weight, and factors of several dtypes, are left to the plain way."""
    torch.manual_seed(1)
    wide = torch.randn(60, 80, device=DEVICE).half()
    mixed = [term(60, 40, 4, 1.0, torch.float16), term(60, 40, 4, 1.0, torch.float32)]
    gaps = Merge(torch.zeros_like(wide)[:, ::2], wide[:, ::2], mixed[:1])
    various = Merge(torch.zeros(60, 40, device=DEVICE).half(), wide[:, :40].contiguous(), mixed)
    merge([gaps, various])
    assert launches == []
    for each in (gaps, various):
        assert (each.live == exact(each.base, each.terms)).double().mean() >= 0.999


@pytest.mark.parametrize("where", [0, 2])
def test_values_beyond_the_range_are_noticed(launches: list[int], where: int) -> None:
    base = torch.zeros(200, 200, device=DEVICE).half()
    sizes = [0.05] * 3
    sizes[where] = 400.0
    merges = [
        Merge(base.clone(), base, [term(200, 200, 4, 1.0, torch.float32, size)]) for size in sizes
    ]
    with pytest.raises(OverflowError, match="float16"):
        merge(merges)
    assert launches == [3]


def test_switches_by_kernels_are_the_plain_ones_and_leave_the_base(
    loaded: Loaded, launches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random stacks, moved by both ways; sums may be rounded in another order."""
    chance = random.Random(5)
    names = ("neon", "styles/ink", "styles/wash")
    chosen = chance.sample(names, 2)
    stack = [loaded.ref(name, chance.uniform(-1, 1.5)) for name in chosen]
    loaded.switcher.apply(stack)
    by_kernels = {name: weight.clone() for name, weight in loaded.weights().items()}
    assert launches
    loaded.switcher.apply([])
    assert (loaded.differing(), loaded.switcher.verify().different) == ([], ())
    with monkeypatch.context() as plain:
        plain.setattr(grouped, "kernels_run_on", lambda device: False)
        loaded.switcher.free_device_cache()
        before = len(launches)
        loaded.switcher.apply(stack)
        assert len(launches) == before
    equal = [(w == by_kernels[n]).flatten() for n, w in loaded.weights().items()]
    assert torch.cat(equal).double().mean() >= 0.999
