"""One run: the limits of the machine, our switches in every tier, then the others."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from engine.bench.cold import ColdFiles
from engine.bench.limits import Floor
from engine.bench.peers import HAS_PEFT, bare_backup, diffusers_peers
from engine.bench.results import BenchReport, Limits, Peer, Switching, TierMemory
from engine.bench.subject import Subject
from engine.bench.switches import STACKS, cases, measure, measure_memory
from engine.bench.work import Works
from engine.device import device_name
from engine.lora.cache import LoraCache
from engine.reports import Tier
from engine.switch.switcher import LoraSwitcher
from engine.switch.tier import require_memory

Progress = Callable[[str], None]
"""Hears what is being measured, in words."""


def run_bench(
    subject: Subject,
    *,
    repeat: int = 3,
    tiers: Sequence[Tier] | None = None,
    peers: bool = True,
    progress: Progress = lambda words: None,
) -> BenchReport:
    """Measure a model with its LoRAs; afterwards its weights are the base's only without `peers`.

    Tiers that the subject cannot have are left out with a note. Raises `EngineError` for a LoRA
    that does not fit the model, or where the memory does not suffice.
    """
    device, parts = subject.device, subject.parts
    notes = list(_missing_cases(subject))
    works = Works(parts)
    each = [works.of((ref,)) for ref in subject.loras]
    floor = Floor(parts, each, device)
    chosen = _possible(tiers or _all_tiers(device), subject, notes)
    for tier in chosen:
        require_memory(tier, device, floor.bytes)
    progress("copies and products: what this machine can do")
    limits = Limits(
        tensors=floor.tensors,
        bytes=floor.bytes,
        copy_seconds=tuple((tier, floor.copy_seconds(tier)) for tier in chosen),
        product_flops=each[0].flops,
        product_seconds=floor.product_seconds(each[0]),
    )
    size = sum(ref.path.stat().st_size for ref in subject.loras)
    progress("fingerprints of the base weights")
    switcher = LoraSwitcher(
        parts["unet"],
        parts.get("text_encoder"),
        parts.get("text_encoder_2"),
        backup=chosen[0],
        cache=LoraCache(2 * size),
        source=subject.source,
    )
    switches: list[Switching] = []
    memory: list[TierMemory] = []
    with tempfile.TemporaryDirectory() as folder:
        cold = ColdFiles(Path(folder))
        for tier in chosen:
            switcher.apply(())
            switcher.set_backup(tier)
            progress(f"memory at its peak · backup: {tier}")
            memory.append(measure_memory(subject.loras[0], tier, switcher, device))
            for case in cases(subject.loras, cold):
                progress(f"{case.name} · backup: {tier}")
                switches.append(measure(case, tier, switcher, works, floor, device, repeat))
    switcher.apply(())
    different = len(switcher.verify().different)
    others = [bare_backup(parts, tuple(each[0].weights), device, repeat)] if peers else []
    left_by_peers: int | None = None
    if peers:
        progress("diffusers")
        found = _try_diffusers(subject, repeat, notes)
        others += found
        left_by_peers = len(switcher.verify().different) if found else None
    return BenchReport(
        model=subject.model,
        device=str(device),
        device_name=device_name(str(device)),
        dtype=str(subject.dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        repeat=repeat,
        loras=tuple(ref.name for ref in subject.loras),
        limits=limits,
        switches=tuple(switches),
        memory=tuple(memory),
        peers=tuple(others),
        different=different,
        peers_different=left_by_peers,
        notes=tuple(notes),
    )


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


def _try_diffusers(subject: Subject, repeat: int, notes: list[str]) -> list[Peer]:
    if not HAS_PEFT:
        notes.append("diffusers is left out: it needs PEFT for LoRAs (pip install peft).")
        return []
    paths = [ref.path for ref in subject.loras[:2]]
    try:
        return diffusers_peers(subject.parts, paths, subject.device, repeat)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        notes.append(f"diffusers does not take these LoRAs: {str(error).splitlines()[0][:200]}")
        return []
