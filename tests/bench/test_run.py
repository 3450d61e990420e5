"""A whole run on a small model: every switch, the others, and what is said of what is left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from engine.bench import peers
from engine.bench.cold import CAN_DROP_PAGES, ColdFiles
from engine.bench.peers import DiffusersPeers
from engine.bench.plan import Step, in_order
from engine.bench.random_loras import lora_layers, write_random_loras
from engine.bench.results import BenchReport
from engine.bench.run import run_bench
from engine.bench.steadiness import spread
from engine.bench.subject import Subject, opened_subject
from engine.lora.cache import LoraCache
from engine.lora.file import FileStamp
from engine.protocol.refs import LoraRef
from engine.switch.switcher import LoraSwitcher

COLD = ["base to A, cold, in the page cache"]
if CAN_DROP_PAGES:
    COLD.insert(0, "base to A, cold, from the disk")


def test_every_switch_is_measured_in_every_tier_and_the_base_stays(subject: Subject) -> None:
    before = [layer.weight.clone() for _, layer in lora_layers(subject.parts["unet"])]
    said: dict[str, float | None] = {}
    seen: list[BenchReport] = []
    report = run_bench(subject, repeat=1, peers=False, progress=said.__setitem__, found=seen.append)
    names = [*COLD, "base to A", "A to B", "A at another strength", "A to base"]
    assert [(s.tier, s.name) for s in report.switches] == [
        (tier, name) for tier in ("device", "file") for name in names
    ]
    for switching in report.switches:
        assert switching.spread >= 0
        assert switching.seconds >= switching.fastest > 0
        assert switching.floor > 0
        assert dict(switching.phases).keys() >= {"merge"}
    assert [m.backup_bytes for m in report.memory] == [report.limits.bytes, 0]
    assert report.limits.tensors == 192
    assert report.different == 0
    assert report.peers == ()
    assert report.peers_different is None
    assert report.notes == ("Left out for want of LoRAs: a stack of 3, a stack of 8.",)
    assert report.is_complete
    assert not any(partial.is_complete for partial in seen)
    counts = [len(partial.switches) for partial in seen]
    assert sorted(set(counts)) == list(range(len(report.switches) + 1)), "each row when it is known"
    left = [seconds for seconds in said.values() if seconds is not None]
    assert all(seconds > 0 for seconds in left)
    assert said["is the base the base?"] == min(left)
    assert said["A to B · backup: file"] is not None
    after = [layer.weight for _, layer in lora_layers(subject.parts["unet"])]
    assert all(map(torch.equal, before, after))


def test_a_base_that_drifts_is_reported(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    apply = LoraSwitcher.apply

    def careless(self: LoraSwitcher, stack: tuple[LoraRef, ...]) -> object:
        report = apply(self, stack)
        if not stack:
            subject.parts["unet"].conv_in.weight[0, 0, 0, 0] += 1
        return report

    monkeypatch.setattr(LoraSwitcher, "apply", careless)
    report = run_bench(subject, repeat=1, tiers=("device",), peers=False)
    assert report.different == 1


def test_diffusers_does_the_same_on_the_same_files(subject: Subject) -> None:
    pytest.importorskip("peft")
    report = run_bench(subject, repeat=1, tiers=("device",))
    against = [peer.against for peer in report.peers]
    assert against == ["base to A", "base to A", "A to B", "A to base", "A to B"]
    # It subtracts what it added, so it does change the base: that shows it was there.
    assert report.peers_different is not None
    assert report.peers_different > 0
    ours = {s.name: s.seconds for s in report.switches}
    for peer in report.peers:
        assert report.faster_than(peer) == peer.seconds / ours[peer.against]


def test_an_interrupted_run_has_told_what_it_has(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    run, seen = DiffusersPeers.run, list[BenchReport]()

    def second(self: DiffusersPeers) -> object:
        if seen[-1].peers[-1].runs == 1:
            raise KeyboardInterrupt
        return run(self)

    monkeypatch.setattr(DiffusersPeers, "run", second)
    with pytest.raises(KeyboardInterrupt):
        run_bench(subject, repeat=3, tiers=("device",), found=seen.append)
    assert [peer.runs for peer in seen[-1].peers] == [3, 1, 1, 1, 1]
    assert seen[-1].different == 0
    assert not seen[-1].is_complete


def test_what_is_left_is_learned_from_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 30.0, 50.0])
    monkeypatch.setattr("engine.bench.plan.time", SimpleNamespace(monotonic=lambda: next(clock)))
    steps = [Step(str(cost), cost, lambda report: report) for cost in (10.0, 10.0, 20.0)]
    assert [left for _, left in in_order(steps)] == [80.0, 90.0, 50.0]


def test_the_spread_is_half_the_range() -> None:
    assert spread([2.0, 1.0, 4.0]) == 0.75
    assert spread([1.0]) == 0


def test_the_report_is_plain_data_with_its_ratios(subject: Subject) -> None:
    report = run_bench(subject, repeat=1, tiers=("device",), peers=False)
    plain = json.loads(json.dumps(report.as_plain()))
    first = plain["switches"][-1]
    assert first["times_floor"] == first["seconds"] / first["floor"]
    assert plain["limits"]["copy_seconds"].keys() == {"device"}


def test_one_lora_without_a_file_of_the_base_measures_what_it_can(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "HAS_PEFT", False)
    alone = replace(subject, loras=subject.loras[:1], source=None)
    report = run_bench(alone, repeat=1)
    names = [*COLD, "base to A", "A at another strength", "A to base"]
    assert [s.name for s in report.switches] == names
    assert [peer.name for peer in report.peers] == ["a bare backup copy"]
    assert len(report.notes) == 3
    assert "A to B" in report.notes[0]
    assert "no file of the base" in report.notes[1]
    assert "pip install peft" in report.notes[2]


def test_a_cold_file_is_read_again_and_stays_as_it_is(subject: Subject, tmp_path: Path) -> None:
    ref = subject.loras[0]
    before = FileStamp.of(Path(ref.path))
    folder = tmp_path / "cold"
    folder.mkdir()
    cold, cache = ColdFiles(folder), LoraCache()
    switcher = LoraSwitcher(**subject.parts, cache=cache)
    held = []
    for stack in ((ref,), (cold.of(ref, on_disk=CAN_DROP_PAGES),), (ref,)):
        switcher.apply(stack)
        held.append(cache.bytes)
    assert held[1] == held[2] == 2 * held[0]
    assert FileStamp.of(Path(ref.path)) == before


def test_a_checkpoint_without_loras_gets_random_ones(tiny_checkpoint: Path, tmp_path: Path) -> None:
    subject = opened_subject(tmp_path, tiny_checkpoint, (), rank=2, device="cpu", dtype="float16")
    assert len(subject.loras) == 8
    report = run_bench(subject, repeat=1, tiers=("file",), peers=False)
    assert "A to a stack of 8" in [s.name for s in report.switches]
    assert report.model == "tiny"


def test_diffusers_refusing_a_file_is_a_note(subject: Subject, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    from safetensors.torch import load_file, save_file

    (path,) = write_random_loras(tmp_path, subject.parts["unet"], rank=2, count=1)
    tensors = load_file(path)
    layer = next(iter(lora_layers(subject.parts["unet"])))[1]
    name = next(iter(tensors)).partition(".")[0]
    bias = {f"{name}.diff_b": torch.zeros(layer.out_features, dtype=torch.float16)}
    save_file(tensors | bias, tmp_path / "bias.safetensors", {"ss_base_model_version": "sdxl"})
    strange = replace(subject, loras=(LoraRef(tmp_path / "bias.safetensors"),))
    report = run_bench(strange, repeat=1, tiers=("device",))
    assert report.notes[-1].startswith("diffusers does not take these LoRAs: ")
    assert report.peers_different is None
