"""Stacks made ready for a GPU ahead, on a CPU that is taken for one: the right weights, less work.

PyTorch stands in for the kernel, which has tests of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.protocol.refs import LoraRef
from engine.protocol.reports import Tier
from engine.switch import grouped, loras, plans
from tests.support.kernel_stand_in import KernelStandIn, take_cpu_for_gpu
from tests.switch.conftest import Loaded


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    take_cpu_for_gpu(monkeypatch, KernelStandIn())


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many LoRAs each plan that is worked out has."""
    found: list[int] = []
    combine = plans.combine

    def counting(members):  # type: ignore[no-untyped-def]
        found.append(len(members))
        return combine(members)

    monkeypatch.setattr(plans, "combine", counting)
    return found


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The weights that are merged one by one, by their shapes."""
    found: list[str] = []
    take = grouped.GroupedMerge.take

    def counting(self, merge):  # type: ignore[no-untyped-def]
        found.append(str(tuple(merge.live.shape)))
        return take(self, merge)

    monkeypatch.setattr(grouped.GroupedMerge, "take", counting)
    return found


def exact(loaded: Loaded, base: dict[str, torch.Tensor], stack: Sequence[LoraRef]) -> float:
    """The share of weights that are W0 and all deltas in float64, rounded once."""
    table = loaded.switcher._loras._table
    wanted = {name: weight.double() for name, weight in base.items()}
    for ref in stack:
        file = load_file(ref.path)
        for key in (k.removesuffix(".alpha") for k in file if k.endswith(".alpha")):
            target = table.find(key)
            assert target is not None
            up, down = (file[f"{key}.lora_{role}.weight"].double() for role in ("up", "down"))
            strength = ref.unet if target.part == "unet" else ref.text_encoder
            name = f"{target.part}.{target.path}.weight"
            change = strength * float(file[f"{key}.alpha"]) / len(down) * (up @ down)
            wanted[name] += change.reshape(wanted[name].shape)
    live = loaded.weights()
    right = [(live[name] == w.to(live[name].dtype)).flatten() for name, w in wanted.items()]
    return float(torch.cat(right).double().mean())


@pytest.mark.parametrize("tier", ["device", "cpu"])
def test_ready_switches_are_exact_and_leave_the_base(
    loaded: Loaded, planned: list[int], taken: list[str], tier: Tier
) -> None:
    """Each kind of switch: from the base, to another, to stacks, strengths, and back again."""
    loaded.switcher.set_backup(tier)
    base = {name: weight.clone() for name, weight in loaded.weights().items()}
    neon, ink, wash = (loaded.ref(n, 0.8) for n in ("neon", "styles/ink", "styles/wash"))
    stacks = [[neon], [ink], [neon, wash], [neon], [neon.at(0.3)], [wash, ink, neon], [ink], []]
    for stack in stacks:
        loaded.switcher.apply(stack)
        assert exact(loaded, base, stack) >= 0.9995
    assert loaded.differing() == []
    first = len(planned)
    assert taken == [], "nothing is merged one by one"
    for stack in stacks:
        loaded.switcher.apply(stack)
        assert exact(loaded, base, stack) >= 0.9995
    assert len(planned) == first, "every plan is known by now"
    assert (loaded.differing(), loaded.switcher.verify().different) == ([], ())


def test_what_was_prefetched_is_ready(loaded: Loaded, planned: list[int], taken: list[str]) -> None:
    neon = loaded.ref("neon", 0.8)
    loaded.switcher.prefetch(neon)
    assert planned == [1]
    loaded.switcher.apply([neon])
    assert (planned, taken) == ([1], [])


def test_a_part_of_a_stack_is_merged_as_before(loaded: Loaded, taken: list[str]) -> None:
    """Where some of its weights are right already, the others are merged by themselves."""
    base = {name: weight.clone() for name, weight in loaded.weights().items()}
    neon = loaded.ref("neon", 0.8)
    loaded.switcher.apply([neon])
    other = LoraRef(neon.path, unet=0.8, text_encoder=0.2)
    report = loaded.switcher.apply([other])
    assert report.kept
    assert len(taken) == report.merged > 0
    assert exact(loaded, base, [other]) >= 0.9995


def test_weights_that_lie_otherwise_by_now_are_merged_as_they_are(
    loaded: Loaded, taken: list[str]
) -> None:
    """Somebody changes the memory format between two switches: no address is out of date."""
    base = {name: weight.clone() for name, weight in loaded.weights().items()}
    neon, ink = loaded.ref("neon", 0.8), loaded.ref("styles/ink", -0.4)
    for stack in ([neon], [ink], []):
        loaded.switcher.apply(stack)
    for part in loaded.parts.values():
        for parameter in part.parameters():
            if parameter.dim() == 2:
                # The same values in other memory, with a gap behind each row.
                wide = torch.empty(parameter.shape[0], parameter.shape[1] + 8).to(parameter.dtype)
                parameter.data = wide[:, :-8].copy_(parameter.data)
    for stack in ([neon], [ink]):
        loaded.switcher.apply(stack)
        assert exact(loaded, base, stack) >= 0.9995
    assert taken, "one by one"
    loaded.switcher.apply([])
    assert (loaded.differing(), loaded.switcher.verify().different) == ([], ())


def test_plans_end_with_the_adapters_that_make_room(
    loaded: Loaded, planned: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    neon, ink = loaded.ref("neon"), loaded.ref("styles/ink")
    loaded.switcher.apply([neon])
    held = loaded.switcher._loras._on_device
    assert held is not None
    held.limit = held.bytes
    loaded.switcher.apply([ink])
    loaded.switcher.apply([neon])
    assert len(planned) == 3
    loaded.switcher.free_device_cache()
    loaded.switcher.apply([ink])
    assert len(planned) == 4


def test_values_beyond_the_range_bring_the_base_back(loaded: Loaded) -> None:
    from engine.errors import SwitchError

    loaded.switcher.apply([loaded.ref("neon")])
    with pytest.raises(SwitchError, match="beyond the range of float16"):
        loaded.switcher.apply([loaded.ref("styles/ink", 1e9)])
    assert loaded.switcher.state == "base"
    assert (loaded.differing(), loaded.switcher.verify().different) == ([], ())


def test_a_cancel_is_heard_before_the_launch(loaded: Loaded) -> None:
    from engine.errors import SwitchError

    loaded.switcher.prefetch(loaded.ref("neon"))
    with pytest.raises(SwitchError, match="cancelled"):
        loaded.switcher.apply([loaded.ref("neon")], lambda: True)
    assert (loaded.switcher.state, loaded.differing()) == ("base", [])


def test_values_that_are_not_finite_are_refused_before_anything_is_touched(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the device, and told as ever; good files are not looked at by the CPU as well."""
    from engine.errors import LoraRefusedError

    neon = loaded.ref("neon", 0.8)
    with monkeypatch.context() as patch:
        patch.setattr(loras, "refuse_non_finite", None)
        loaded.switcher.apply([neon])
    tensors = load_file(neon.path)
    name = max(tensors, key=lambda name: tensors[name].numel())
    tensors[name][-1, -1] = float("inf")
    save_file(tensors, tmp_path / "broken.safetensors")
    before = {name: weight.clone() for name, weight in loaded.weights().items()}
    with pytest.raises(LoraRefusedError, match=r"broken.* 1 values that are not finite"):
        loaded.switcher.apply([LoraRef(tmp_path / "broken.safetensors")])
    assert loaded.switcher.stack == (neon,)
    assert all(torch.equal(w, before[name]) for name, w in loaded.weights().items())
