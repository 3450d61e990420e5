"""One run: the limits of the machine, our switches in every tier, then the others."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from engine.bench.cold import ColdFiles
from engine.bench.limits import Floor
from engine.bench.peer_steps import peer_steps
from engine.bench.plan import Step, in_order
from engine.bench.results import BenchReport, Limits
from engine.bench.steadiness import Steadiness
from engine.bench.subject import Subject
from engine.bench.switches import STACKS, Case, cases, floor_of, measure, measure_memory
from engine.bench.work import Works
from engine.device import device_name
from engine.lora.cache import LoraCache
from engine.protocol.reports import Tier
from engine.switch.switcher import LoraSwitcher
from engine.switch.tier import require_memory

Progress = Callable[[str, float | None], None]
"""Hears what is being measured, in words, and how many seconds are left, once that can be told."""


def run_bench(
    subject: Subject,
    *,
    repeat: int = 3,
    tiers: Sequence[Tier] | None = None,
    peers: bool = True,
    progress: Progress = lambda words, seconds: None,
    found: Callable[[BenchReport], None] = lambda report: None,
) -> BenchReport:
    """Measure a model with its LoRAs; afterwards its weights are the base's only without `peers`.

    `found` hears what is known after every measurement. Tiers that the subject cannot have are left
    out with a note. Raises `EngineError` for a LoRA that does not fit the model, or where the
    memory does not suffice.
    """
    notes = _missing_cases(subject)
    chosen = _possible(tiers or _all_tiers(subject.device), subject, notes)
    with tempfile.TemporaryDirectory() as folder:
        run = _Run(subject, chosen, repeat, ColdFiles(Path(folder)))
        progress("copies and products: what this machine can do", None)
        report = replace(run.limits(), notes=tuple(notes))
        found(report)
        progress("fingerprints of the base weights", None)
        run.take_fingerprints()
        steps = [step for tier in chosen for step in run.tier(tier)]
        steps += [run.comparison(), *(run.peers() if peers else ())]
        for step, left in in_order(steps):
            progress(step.words, left)
            report = step.do(report)
            found(report)
    return replace(report, is_complete=True)


class _Run:
    """Makes the steps of a run; all share the limits of the machine and one switcher."""

    def __init__(
        self, subject: Subject, tiers: Sequence[Tier], repeat: int, cold: ColdFiles
    ) -> None:
        self._subject, self._tiers, self._repeat, self._cold = subject, tiers, repeat, cold
        self._works = Works(subject.parts)
        each = [self._works.of((ref,)) for ref in subject.loras]
        self._first = each[0]
        self._floor = Floor(subject.parts, each, subject.device)
        self._copies: dict[bool, Steadiness] = {}
        for tier in tiers:
            require_memory(tier, {subject.device: self._floor.bytes})

    def limits(self) -> BenchReport:
        """Measure what the machine can do."""
        subject, floor = self._subject, self._floor
        return BenchReport(
            model=subject.model,
            device=str(subject.device),
            device_name=device_name(str(subject.device)),
            dtype=str(subject.dtype).removeprefix("torch."),
            threads=torch.get_num_threads(),
            repeat=self._repeat,
            loras=tuple(ref.name for ref in subject.loras),
            limits=Limits(
                tensors=floor.tensors,
                bytes=floor.bytes,
                copy_seconds=tuple((tier, floor.copy_seconds(tier)) for tier in self._tiers),
                product_flops=self._first.flops,
                product_seconds=floor.product_seconds(self._first),
            ),
        )

    def take_fingerprints(self) -> None:
        """Make the switcher."""
        parts = self._subject.parts
        size = sum(ref.path.stat().st_size for ref in self._subject.loras)
        self._switcher = LoraSwitcher(
            parts["unet"],
            parts.get("text_encoder"),
            parts.get("text_encoder_2"),
            backup=self._tiers[0],
            cache=LoraCache(2 * size),
            source=self._subject.source,
        )

    def tier(self, tier: Tier) -> Iterator[Step]:
        """The memory of a switch, and all switches with the backup in one tier."""
        switcher, device, first = self._switcher, self._subject.device, self._subject.loras[0]
        steadiness = self._steadiness(tier)
        from_base = self._floor.seconds(tier, self._first.bytes, self._first)

        def memory(report: BenchReport) -> BenchReport:
            switcher.apply(())
            switcher.set_backup(tier)
            found = measure_memory(first, tier, switcher, device)
            return replace(report, memory=(*report.memory, found))

        def switches(case: Case, report: BenchReport) -> BenchReport:
            found = measure(
                case, tier, switcher, self._works, self._floor, steadiness, device, self._repeat
            )
            return replace(report, switches=(*report.switches, found))

        yield Step(f"memory at its peak · backup: {tier}", 3 * from_base, memory)
        for case in cases(self._subject.loras, self._cold):
            each = floor_of(case, tier, self._works, self._floor) + from_base
            cost = (1 + self._repeat) * each
            yield Step(f"{case.name} · backup: {tier}", cost, partial(switches, case))

    def comparison(self) -> Step:
        """Compare the base with its fingerprints."""

        def compare(report: BenchReport) -> BenchReport:
            self._switcher.apply(())
            return replace(report, different=len(self._switcher.verify().different))

        return Step("is the base the base?", self._compare_cost(), compare)

    def peers(self) -> Iterator[Step]:
        """The same in other ways, and what that leaves of the base."""
        steadiness = self._steadiness("device")
        yield from peer_steps(self._subject, self._first, self._floor, steadiness, self._repeat)

        def compare(report: BenchReport) -> BenchReport:
            if len(report.peers) < 2:
                return report  # diffusers did not run
            return replace(report, peers_different=len(self._switcher.verify().different))

        yield Step("what diffusers leaves of the base", self._compare_cost(), compare)

    def _steadiness(self, tier: Tier) -> Steadiness:
        device = self._subject.device
        over_the_bus = tier != "device" and device.type == "cuda"
        if over_the_bus not in self._copies:
            size = self._floor.bytes
            self._copies[over_the_bus] = Steadiness(size, device, over_the_bus=over_the_bus)
        return self._copies[over_the_bus]

    def _compare_cost(self) -> float:
        networks = self._subject.parts.values()
        held = sum(weight.nbytes for network in networks for weight in network.parameters())
        return self._floor.copy_seconds("device") * held / self._floor.bytes


def _all_tiers(device: torch.device) -> tuple[Tier, ...]:
    """On a CPU the device's memory and the CPU's are the same."""
    return ("device", "cpu", "file") if device.type != "cpu" else ("device", "file")


def _possible(tiers: Sequence[Tier], subject: Subject, notes: list[str]) -> tuple[Tier, ...]:
    if "file" in tiers and subject.source is None:
        notes.append("The backup in the file is left out: there is no file of the base weights.")
        tiers = [tier for tier in tiers if tier != "file"] or ["device"]
    return tuple(tiers)


def _missing_cases(subject: Subject) -> list[str]:
    count = len(subject.loras)
    missing = ["A to B"] if count < 2 else []
    missing += [f"a stack of {size}" for size in STACKS if size > count]
    return [f"Left out for want of LoRAs: {', '.join(missing)}."] if missing else []
