"""What a cluster has: its nodes, their devices, and what of the model and the LoRAs lies there."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.cluster.model_digest import model_digest
from engine.errors import EngineError
from engine.proof.contents import FileContents
from engine.version import VERSION

Sizes = Mapping[Path, int]
"""LoRA files with their bytes."""


@dataclass(frozen=True)
class Found:
    """What one node says of itself."""

    host: str
    version: str
    model: str
    """`the same`, or what is there in its place."""
    loras: int
    """How many of the LoRAs lie there at the same place with the same size."""
    kept: int
    """Copies that it was sent."""


@dataclass(frozen=True)
class Node:
    """One machine of the cluster."""

    address: str
    resources: Mapping[str, float]
    found: Found | None = None
    fault: str = ""
    """Why it says nothing."""


def look(model: Path, digest: str, loras: Sizes, index: Path, cache: Path) -> Found:
    """On a node: compare what is there with what the one who asks has."""
    try:
        same = model_digest(model, FileContents(index)) == digest
        said = "the same" if same else "another"
    except EngineError:
        said = "not there"
    there = sum(_size(path) == size for path, size in loras.items())
    kept = sum(1 for _ in cache.glob("*/*.safetensors"))
    return Found(socket.gethostname(), VERSION, said, there, kept)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def ask_nodes(
    ray: Any, model: Path, loras: Sequence[Path], index: Path, cache: Path, patience: float = 60.0
) -> list[Node]:
    """Ask each node that lives; one that does not answer in `patience` seconds says why."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    digest = model_digest(model, FileContents(index))
    sizes = {path: _size(path) for path in loras}
    alive = [node for node in ray.nodes() if node["Alive"]]
    task = ray.remote(look)
    asked = []
    for node in alive:
        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        there = task.options(num_cpus=0, max_retries=0, scheduling_strategy=here)
        asked.append(there.remote(model, digest, sizes, index, cache))
    return [_answer(ray, node, ref, patience) for node, ref in zip(alive, asked, strict=True)]


def _answer(ray: Any, node: Mapping[str, Any], ref: Any, patience: float) -> Node:
    address, resources = node["NodeManagerAddress"], dict(node["Resources"])
    try:
        return Node(address, resources, ray.get(ref, timeout=patience))
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines()
        return Node(address, resources, fault=lines[-1][:200] if lines else type(error).__name__)
