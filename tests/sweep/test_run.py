"""Drawing cells by a queue: what is asked for, what is waited for, what is put away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from engine.protocol.commands import CancelJob, Command, Draw, RetryJob
from engine.protocol.events import (
    CommandFailed,
    Event,
    EventMessage,
    GenerationCancelled,
    GenerationFinished,
    JobChanged,
    PictureSaved,
    Switched,
)
from engine.protocol.jobs import Job
from engine.protocol.refs import LoraRef
from engine.protocol.reports import SwitchReport
from engine.protocol.request import GenerateRequest
from engine.protocol.view import EngineView
from engine.sweep import run as sweep_run
from engine.sweep.cells import Cell
from engine.sweep.drawn import DrawnCells
from engine.sweep.folder import SweepFolder
from engine.sweep.grid import Grid
from engine.sweep.layout import contact_sheets
from engine.sweep.run import SweepRun
from tests.support.certified import key_of, png_of_key

NEON, INK = LoraRef("/neon.safetensors"), LoraRef("/ink.safetensors")
STACKS = ((NEON,), (INK,), (NEON,), (INK,), ())
KEYS = tuple(map(key_of, ("k0", "k1", "k2", "k3", "k0")))
"""The last cell looks like the first."""


class Queue:
    """Takes commands as an engine does, and draws what it is told to."""

    def __init__(self) -> None:
        self.asked: dict[str, Draw] = {}
        self.others: list[Command] = []
        self.live: tuple[LoraRef, ...] = ()

    def send(self, command: Command, id: str | None = None) -> str:
        if isinstance(command, Draw):
            assert id is not None
            self.asked[id] = command
        else:
            self.others.append(command)
        return id or "another"

    def tell(self, run: SweepRun, event: Event, answers: str | None) -> None:
        run.hear(EventMessage(1, "cpu", answers, 0.0, event))

    def draw(self, run: SweepRun, id: str, ends: Event | None = None) -> None:
        command = self.asked[id]
        job = Job(id, command.request, command.stack or (), state="running")
        self.tell(run, JobChanged(job), id)
        if command.stack != self.live:
            self.live = command.stack or ()
            self.tell(run, Switched(report(self.live)), None)
        if ends is None:
            picture = save(command.request.output)
            self.tell(run, PictureSaved(picture, 1, 8, 8, 1, ""), id)
            self.tell(run, JobChanged(structs.replace(job, drawn=1)), id)
        self.tell(run, ends or GenerationFinished((), 1.0), id)


def report(stack: tuple[LoraRef, ...]) -> SwitchReport:
    return SwitchReport(stack, (), 0, 1, 0, 0, 0, 0, "file", False, {})


def save(folder: Path) -> Path:
    folder.mkdir(parents=True)
    picture = folder / "00001-1.png"
    picture.write_bytes(png_of_key(folder.name))
    return picture


@pytest.fixture
def folder(tmp_path: Path):
    found = SweepFolder(tmp_path / "sweep")
    with found.held():
        yield found


def cells_in(folder: SweepFolder, keys: tuple[str, ...] = KEYS) -> DrawnCells:
    request = GenerateRequest("a fox", folder.path, seed=1)
    cells = [
        Cell(f"cell{n}", (n,), {"seed": n}, replace(request, seed=n), stack)
        for n, stack in enumerate(STACKS[: len(keys)])
    ]
    pages = contact_sheets([cell.name for cell in cells])
    return DrawnCells(folder, cells, keys, lambda: Grid(folder.path, pages, "", (8, 8)))


def test_cells_are_asked_for_by_stack_and_each_once(folder: SweepFolder) -> None:
    cells, queue = cells_in(folder), Queue()
    run = SweepRun(cells, queue.send)
    run.begin(EngineView())

    assert [command.stack for command in queue.asked.values()] == [(NEON,), (NEON,), (INK,), (INK,)]
    for id in tuple(queue.asked):
        assert not run.is_done
        queue.draw(run, id)
    assert run.is_done
    assert run.switches == 2
    assert cells.count_drawn == 5
    assert (folder.cells / "cell4.png").read_bytes() == (folder.cells / "cell0.png").read_bytes()
    assert len(folder.record.read_text().splitlines()) == 5
    # And nothing is left to ask for.
    again = SweepRun(cells_in(folder), Queue().send)
    again.begin(EngineView())
    assert again.is_done


def test_switches_of_others_are_not_counted(folder: SweepFolder) -> None:
    cells, queue = cells_in(folder), Queue()
    run = SweepRun(cells, queue.send)
    run.begin(EngineView())
    queue.tell(run, Switched(report((INK,))), None)
    first = next(iter(queue.asked))
    queue.draw(run, first)
    queue.tell(run, Switched(report((INK,))), None)
    assert run.switches == 1


def test_jobs_of_an_earlier_run_are_waited_for(folder: SweepFolder) -> None:
    earlier, queue = SweepRun(cells_in(folder), (before := Queue()).send), Queue()
    earlier.begin(EngineView())
    ids = list(before.asked)
    jobs = [Job(id, command.request, command.stack or ()) for id, command in before.asked.items()]
    # The first was drawn while nobody listened, the second waits, the third killed the engine.
    save(before.asked[ids[0]].request.output)
    set_aside = structs.replace(jobs[2], state="set aside", reason="the engine died twice")

    cells = cells_in(folder)
    assert cells.count_drawn == 2
    run = SweepRun(cells, queue.send)
    run.begin(EngineView(jobs=(jobs[1], set_aside)))
    assert list(queue.asked) == [ids[3]]
    assert queue.others == [RetryJob(ids[2])]
    queue.asked = before.asked
    for id in ids[1:]:
        queue.draw(run, id)
    assert run.is_done
    assert cells.count_drawn == 5


def test_a_picture_that_was_announced_before_this_run_is_found(folder: SweepFolder) -> None:
    cells, queue = cells_in(folder), Queue()
    run = SweepRun(cells, queue.send)
    run.begin(EngineView())
    id, command = next(iter(queue.asked.items()))
    save(command.request.output)
    queue.tell(run, GenerationFinished((), 1.0), id)
    assert cells.count_drawn == 2


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        (CommandFailed("draw", "neon: made for SD 1.5."), "made for SD 1.5"),
        (GenerationCancelled(0, 0), "taken out of the queue"),
        (GenerationFinished((), 1.0), "not there"),
    ],
)
def test_a_cell_that_fails_does_not_end_the_others(
    folder: SweepFolder, ends: Event, words: str
) -> None:
    cells, queue = cells_in(folder), Queue()
    run = SweepRun(cells, queue.send)
    run.begin(EngineView())
    first, *others = queue.asked
    queue.draw(run, first, ends)
    for id in others:
        queue.draw(run, id)
    assert run.is_done
    ((cell, reason),) = cells.failed()
    assert cell.name == "cell0"
    assert words in reason
    assert cells.count_drawn == 3


def test_a_job_that_is_set_aside_is_not_waited_for(folder: SweepFolder) -> None:
    cells, queue = cells_in(folder), Queue()
    run = SweepRun(cells, queue.send)
    run.begin(EngineView())
    for id, command in tuple(queue.asked.items()):
        job = Job(id, command.request, state="set aside", reason="the engine died twice")
        queue.tell(run, JobChanged(job), None)
    assert run.is_done
    assert "died twice" in cells.failed()[0][1]


def test_cancelling_takes_back_what_waits(folder: SweepFolder) -> None:
    cells, queue = cells_in(folder), Queue()
    run = SweepRun(cells, queue.send)
    run.begin(EngineView())
    first, *others = queue.asked
    queue.draw(run, first)
    run.cancel()
    assert run.is_done
    # The running one last, so that none is begun meanwhile.
    assert queue.others == [CancelJob(id) for id in reversed(others)]


def test_a_queue_is_not_filled_without_end(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_run, "MOST_OUTSTANDING", 1)
    cells, queue = cells_in(folder), Queue()
    run = SweepRun(cells, queue.send)
    run.begin(EngineView())
    drawn = 0
    while not run.is_done:
        assert len(queue.asked) == drawn + 1
        queue.draw(run, list(queue.asked)[-1])
        drawn += 1
    assert drawn == 4
