"""Having cells drawn by the workers of a cluster: handed out, taken back, put into their folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from engine.cluster.handing import Handing
from engine.cluster.loras import Packed, Wanted, bundle, packed, unpacked
from engine.cluster.worker import CellWorker, Drawn, Opened, Order
from engine.errors import EngineError
from engine.files.saving import in_words, replace_file
from engine.proof.contents import FileContents
from engine.protocol.commands import Load
from engine.sweep.cells import Cell
from engine.sweep.drawn import DrawnCells
from engine.sweep.facts import ModelFacts
from engine.sweep.order import drawing_order, stack_identity

LOOK_SECONDS = 1.0
START_SECONDS = 300.0
"""How long the first worker may take to be there: a large model is read and hashed meanwhile."""
DEATHS_EACH = 3
"""Of each worker: as often another takes its place."""


@dataclass
class WorkerState:
    """One worker: where it is, what it has done, what it is at."""

    name: str
    actor: Any
    started: float = field(default_factory=time.monotonic)
    """When it was asked for, by the monotonic clock."""
    began: float = 0.0
    """When it was handed its first cell, by the monotonic clock."""
    ended: float = 0.0
    """When its last cell was put away."""
    opened: Opened | None = None
    cell: Cell | None = None
    cells: int = 0
    switches: int = 0
    bytes_fetched: int = 0
    lost: str = ""
    """Why it is no more."""

    @property
    def per_minute(self) -> float:
        """Pictures a minute, from its first cell to its last."""
        seconds = self.ended - self.began
        return 60 * self.cells / seconds if seconds > 0 else 0.0


@dataclass(frozen=True)
class ClusterOptions:
    """How workers are to be made."""

    workers: int
    threads: int
    gpu: bool
    load: Load
    digest: str
    """Of the model's files, as they are to be on every node."""
    index: Path
    cache: Path
    """Where a node keeps LoRAs that it was sent."""


def resources(ray: Any, threads: int) -> tuple[int, bool]:
    """How many workers a cluster has room for, and whether each is to have a GPU."""
    found = ray.cluster_resources()
    gpus = int(found.get("GPU", 0))
    return (gpus, True) if gpus else (int(found.get("CPU", 0)) // threads, False)


class ClusterRun:
    """Draws cells on a cluster; `cells` are made when the first worker has told of its model."""

    def __init__(
        self,
        ray: Any,
        options: ClusterOptions,
        cells: Callable[[ModelFacts], DrawnCells],
        on_change: Callable[[ClusterRun], object] = lambda run: None,
    ) -> None:
        self._ray = ray
        self._options = options
        self._make_cells = cells
        self._on_change = on_change
        self._contents = FileContents(options.index)
        self._files: Any = None
        self._pending: dict[Any, tuple[WorkerState, str]] = {}
        """What is waited for: a worker's `open` or its `draw`."""
        self._fingerprint = ""
        self._handing: Handing[str] = Handing([])
        self._stacks: dict[str, tuple[Wanted, ...]] = {}
        self._deaths = 0
        self.workers: list[WorkerState] = []
        self.cells: DrawnCells | None = None
        self.facts: ModelFacts | None = None
        self.found = 0
        """Cells that were there before."""

    def draw(self) -> DrawnCells:
        """Draw what is missing; raises `EngineError` where no worker can."""
        try:
            for _ in range(self._options.workers):
                self._start_worker()
            while not self._is_done:
                self._require_workers()
                ready, _ = self._ray.wait(list(self._pending), timeout=LOOK_SECONDS)
                for ref in ready:
                    self._take(ref)
                self._hand_out()
                self._on_change(self)
        finally:
            for worker in self.workers:
                self._ray.kill(worker.actor)
            if self._files is not None:
                self._ray.kill(self._files)
        assert self.cells is not None, "done"
        self.cells.finish()
        return self.cells

    @property
    def _is_done(self) -> bool:
        return self.cells is not None and self._handing.is_done

    @property
    def _alive(self) -> list[WorkerState]:
        return [worker for worker in self.workers if not worker.lost]

    # Workers.

    def _start_worker(self) -> None:
        ray, options = self._ray, self._options
        if self._files is None:
            self._files = _files_actor(ray, {})
        actor = _worker_actor(ray, options).remote(
            options.threads, options.cache, options.index, self._files
        )
        worker = WorkerState(f"worker {len(self.workers) + 1}", actor)
        self.workers.append(worker)
        self._pending[actor.open.remote(options.load, options.digest)] = worker, "open"

    def _take(self, ref: Any) -> None:
        worker, what = self._pending.pop(ref)
        try:
            answer = self._ray.get(ref)
        except EngineError as error:
            self._lose(worker, str(error))
        except self._ray.exceptions.RayError as error:
            self._lose(worker, _in_words(error))
            self._deaths += 1
            if self._deaths <= DEATHS_EACH * self._options.workers:
                self._start_worker()
        else:
            if what == "open":
                self._greet(worker, answer)
            else:
                self._put(worker, answer)

    def _lose(self, worker: WorkerState, reason: str) -> None:
        # One that still runs would keep what its successor needs.
        self._ray.kill(worker.actor)
        worker.lost, worker.cell = reason, None
        key = self._handing.died(worker.name)
        if key is not None and self.cells is not None:
            words = f"{_MOST} died while drawing it; the last one: {reason}"
            self.cells.refuse(key, words)

    def _greet(self, worker: WorkerState, opened: Opened) -> None:
        if self.cells is None:
            self._fingerprint = opened.fingerprint
            self._plan(ModelFacts(opened.fingerprint, opened.default_size))
        if opened.fingerprint != self._fingerprint:
            self._lose(
                worker,
                f"the weights on the node {opened.node} ({opened.device}) are not those of the "
                "first worker: another dtype, also of the VAE alone, or another version",
            )
            return
        worker.opened = opened

    def _plan(self, facts: ModelFacts) -> None:
        self.facts = facts
        self.cells = cells = self._make_cells(facts)
        self.found = cells.count_drawn
        missing = cells.missing()
        stacks = [cells.of(key).stack for key in missing]
        ordered = [missing[number] for number in drawing_order(stacks)]
        paths: dict[str, Path] = {}
        for key in ordered:
            stack = cells.of(key).stack
            wanted = tuple(Wanted(ref, self._contents.lora(ref.path)) for ref in stack)
            self._stacks[key] = wanted
            paths.update({each.content: each.ref.path for each in wanted})
        self._ray.get(self._files.know.remote(paths))
        self._handing = Handing(
            groups_of(ordered, {key: stack_identity(cells.of(key).stack) for key in ordered})
        )

    def _require_workers(self) -> None:
        reasons = "; ".join(dict.fromkeys(worker.lost for worker in self.workers if worker.lost))
        if not self._alive:
            raise EngineError(f"No worker of the cluster is left: {reasons}")
        newest = max(worker.started for worker in self._alive)
        is_late = time.monotonic() - newest > START_SECONDS
        if is_late and not any(worker.opened for worker in self._alive):
            raise EngineError(
                f"No worker was there within {START_SECONDS:.0f} s: the cluster has no room for "
                f"one. {reasons}".strip()
            )

    # Cells.

    def _hand_out(self) -> None:
        if self.cells is None:
            return
        busy = {worker.name for worker, _ in self._pending.values()}
        for worker in self._alive:
            if worker.opened is None or worker.name in busy:
                continue
            key = self._handing.next(worker.name)
            if key is None:
                continue
            worker.began = worker.began or time.monotonic()
            worker.cell = self.cells.of(key)
            ahead = self._handing.ahead(worker.name)
            order = Order(
                key,
                self.cells.of(key).request,
                self._stacks[key],
                self._stacks[ahead] if ahead is not None else (),
            )
            self._pending[worker.actor.draw.remote(order)] = worker, "draw"

    def _put(self, worker: WorkerState, drawn: Drawn) -> None:
        assert self.cells is not None, "it was handed out"
        self._handing.drawn(worker.name)
        worker.cell = None
        worker.switches += drawn.switches
        worker.bytes_fetched += drawn.bytes_fetched
        if drawn.fault:
            self.cells.refuse(drawn.key, drawn.fault)
            return
        worker.cells += 1
        picture = self.cells.folder.drawing(drawn.key) / "picture.png"
        try:
            replace_file(picture, drawn.data)
        except OSError as error:
            raise EngineError(f"{picture}: it was not saved: {in_words(error)}.") from error
        self.cells.take(drawn.key, picture)
        worker.ended = time.monotonic()


_MOST = "two workers"


def groups_of(
    keys: Sequence[str], stacks: Mapping[str, Hashable]
) -> list[tuple[Hashable, list[str]]]:
    """Ordered cells by their stacks."""
    return [(stack, list(group)) for stack, group in groupby(keys, stacks.__getitem__)]


def _in_words(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"


def _worker_actor(ray: Any, options: ClusterOptions) -> Any:
    class Actor(CellWorker):
        """A worker that asks for LoRAs where the driver runs."""

        def __init__(self, threads: int, cache: Path, index: Path, files: Any) -> None:
            super().__init__(
                threads, cache, index, lambda d: unpacked(ray.get(files.pack.remote(d)))
            )

    needs = {"num_gpus": 1, "num_cpus": 1} if options.gpu else {"num_cpus": options.threads}
    return ray.remote(Actor).options(max_restarts=0, **needs)


def _files_actor(ray: Any, paths: dict[str, Path]) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    class Files:
        """Gives LoRAs by their digests, on the node where they lie."""

        def __init__(self) -> None:
            self._paths = dict(paths)

        def know(self, more: dict[str, Path]) -> None:
            self._paths.update(more)

        def pack(self, content: str) -> Packed:
            return packed(bundle(self._paths[content]))

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Files).options(num_cpus=0, scheduling_strategy=here).remote()
