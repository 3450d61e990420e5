"""What a stack of eight costs beside one LoRA: of the same rank each, and of the rank in all.

How much more eight must cost than one is told by their floors (`engine.bench.limits`): the copy of
the weights is the same, and the products are eight times as large. Every switch starts from another
LoRA on the same weights, with all files in the cache, so it is a merge and nothing else.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from engine.bench.clock import median, seconds_of
from engine.bench.limits import Floor
from engine.bench.random_loras import write_random_loras
from engine.bench.subject import Subject, random_subject
from engine.bench.work import Works
from engine.lora.cache import LoraCache
from engine.protocol.refs import LoraRef
from engine.switch.switcher import LoraSwitcher

RANKS = (4, 32)
MEMBERS = 8
REPEAT = 3


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds of one LoRA, of eight, and of one whose rank is that of the eight together."""
    ranks, repeat = (RANKS[:1], 1) if quick else (RANKS, REPEAT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subject = random_subject(folder, rank=1, loras=1, small=quick, with_file=False)
        rows = [_of_rank(subject, folder / str(rank), rank, repeat) for rank in ranks]
    return {"members": MEMBERS, "stacks": rows}


def _of_rank(subject: Subject, folder: Path, rank: int, repeat: int) -> dict[str, Any]:
    unet, device = subject.parts["unet"], subject.device
    (folder / "whole").mkdir(parents=True)
    eight = [LoraRef(path) for path in write_random_loras(folder, unet, rank, MEMBERS)]
    (whole,) = write_random_loras(folder / "whole", unet, rank * MEMBERS, 1)
    switcher = LoraSwitcher(unet, cache=LoraCache(1 << 34))

    def seconds(stack: list[LoraRef]) -> float:
        switcher.apply(stack)
        found = []
        for _ in range(repeat):
            switcher.apply(subject.loras)
            found.append(seconds_of(partial(switcher.apply, stack), device))
        return median(found)

    works = Works(subject.parts)
    work, all_work = works.of(eight[:1]), works.of(eight)
    floor = Floor(subject.parts, [all_work], device)
    floors = [floor.seconds("device", w.bytes, w) for w in (work, all_work)]
    one, all_eight, joined = seconds(eight[:1]), seconds(eight), seconds([LoraRef(whole)])
    switcher.apply(())
    for path in folder.rglob("*.safetensors"):
        path.unlink()
    return {
        "rank": rank,
        "one_seconds": round(one, 3),
        "eight_seconds": round(all_eight, 3),
        "one_of_eightfold_rank_seconds": round(joined, 3),
        "floor_of_one_seconds": round(floors[0], 3),
        "floor_of_eight_seconds": round(floors[1], 3),
        "eight_to_one": round(all_eight / one, 2),
        "floor_of_eight_to_one": round(floors[1] / floors[0], 2),
        "eight_to_one_of_eightfold_rank": round(all_eight / joined, 2),
    }
