"""The GPU's kernel: run by Triton's interpreter without a GPU, and compiled for real ones."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence

import pytest
import torch

from engine.lora.families import LowRank
from engine.switch import grouped
from engine.switch.merge import Merge, merge
from engine.switch.plan import Term
from tests.switch.conftest import Loaded

pytest.importorskip("triton", reason="needs Triton, which is not made for this system")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HALF = [torch.float16] + [torch.bfloat16] * torch.cuda.is_available()
"""Triton's interpreter cuts bfloat16 off instead of rounding it."""


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the kernel merge wherever the weights are; collects how many weights a launch has."""
    from engine.switch.kernel import Launch

    run, sizes = Launch.run, []

    def counting(self: Launch) -> torch.Tensor:
        sizes.append(len(self._addresses))
        return run(self)

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
    for _ in range(4):
        chosen = chance.sample(names, chance.randint(1, 3))
        stack = [loaded.ref(name, chance.uniform(-1, 1.5)) for name in chosen]
        loaded.switcher.apply(stack)
        by_kernels = {name: weight.clone() for name, weight in loaded.weights().items()}
        assert launches
        loaded.switcher.apply([])
        assert (loaded.differing(), loaded.switcher.verify().different) == ([], ())
        with monkeypatch.context() as plain:
            plain.setattr(grouped, "kernels_run_on", lambda device: False)
            before = len(launches)
            loaded.switcher.apply(stack)
            assert len(launches) == before
        equal = [(w == by_kernels[n]).flatten() for n, w in loaded.weights().items()]
        assert torch.cat(equal).double().mean() >= 0.999


COMPILE = """
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from engine.switch.kernel import TILE, merge_kernel

types = {"addresses": "*i64", "ranks": "*i32", "scales": "*fp32", "finite": "*i32",
         "rows": "i32", "columns": "i32", "terms": "i32"}
fixed = {"WEIGHT": tl.float16, "FACTOR": tl.float16, "ALIGNED": True, **TILE}
signature = types | dict.fromkeys(fixed, "constexpr")
places = {(list(signature).index(name),): value for name, value in fixed.items()}
multiples = {(i,): [["tt.divisibility", 16]] for i in range(len(types) - 1)}
for capability in (80, 90):
    source = ASTSource(merge_kernel, signature, places, multiples)
    target = GPUTarget("cuda", capability, 32)
    ptx = compile(source, target=target, options={"num_warps": 8}).asm["ptx"]
    for part in ("ld.global.v4.b32", "st.global.v4.b32", "mma", "cvt.rn.f16"):
        assert part in ptx, (capability, part)
"""


def test_it_compiles_for_gpus_into_wide_reads_and_tensor_cores() -> None:
    """For Ampere and Hopper, without one of them: 16 bytes at a time, rounded to nearest."""
    environment = {name: v for name, v in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
