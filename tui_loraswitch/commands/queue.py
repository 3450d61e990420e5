"""`loraswitch queue`: what waits to be drawn on the host that runs, and changes of it."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.client.remote import host_status
from engine.errors import EngineError
from engine.host.runtime import HostPlace
from engine.protocol.commands import CancelJob, JobCommand, MoveJob, PauseQueue, RetryJob
from engine.protocol.events import Done
from engine.protocol.jobs import Job
from engine.protocol.text import plural
from engine.words.clean import clean_line
from tui_loraswitch.commands.hosts import running_host
from tui_loraswitch.commands.options import add_device_option
from tui_loraswitch.commands.outcome import NO_HOST, OK, UsageError

if TYPE_CHECKING:
    from tui_loraswitch.commands.engine_run import EngineRun

DESCRIPTION = """\
Show the jobs of the host's queue in the order in which they will be drawn:
short id, state, pictures drawn, seed, stack, prompt. A job during which the
host died twice is set aside, with the reason, until it is tried again.

With a word after it, change the queue. An id may be cut short, as long as it
means one job.
"""

EXAMPLES = """\
examples:
  loraswitch queue
  loraswitch queue --json | jq -r '.[].id'
  loraswitch queue move 3f2a --first
  loraswitch queue drop 3f2a 91c0
  loraswitch queue drop --all
  loraswitch queue pause       the running one is finished, no other begun
  loraswitch queue go-on
  loraswitch queue retry 3f2a
"""

_SHORT = 8
"""Characters of an id that are shown."""
_MOST_NAMED = 5


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="print a JSON list of all jobs")
    add_device_option(parser)
    parser.set_defaults(action=None)
    actions = parser.add_subparsers(title="changes", metavar="CHANGE")
    drop = actions.add_parser("drop", help="take jobs out, also the one that is being drawn")
    drop.add_argument("ids", metavar="ID", nargs="*", help="which ones")
    drop.add_argument("--all", action="store_true", help="every one")
    move = actions.add_parser("move", help="have a job drawn earlier or later")
    move.add_argument("id", metavar="ID", help="which one")
    where = move.add_mutually_exclusive_group(required=True)
    where.add_argument("--before", metavar="ID", help="the job that it is to be drawn before")
    where.add_argument("--first", action="store_true", help="before all that wait")
    where.add_argument("--last", action="store_true", help="after all that wait")
    pause = actions.add_parser("pause", help="let the running job finish, and begin no other")
    go_on = actions.add_parser("go-on", help="draw again after a pause")
    retry = actions.add_parser("retry", help="try a job again that was set aside")
    retry.add_argument("id", metavar="ID", help="which one")
    for action, change in (
        (drop, _drop),
        (move, _move),
        (pause, lambda engine, args: _pause(engine, True)),
        (go_on, lambda engine, args: _pause(engine, False)),
        (retry, _retry),
    ):
        action.set_defaults(action=change)
        add_device_option(action)


def run(args: argparse.Namespace) -> int:
    """Show the queue, or change it."""
    place = running_host(args)
    if place is None:
        return NO_HOST
    if args.action is None:
        _show(place, args.json)
        return OK

    from tui_loraswitch.commands.engine_run import open_engine

    with open_engine(lambda event: None, place) as engine:
        print(args.action(engine, args))
    return OK


def _show(place: HostPlace, as_json: bool) -> None:
    status = host_status(place)
    jobs = status["queue"]
    if as_json:
        print(json.dumps(jobs, indent=2))
        return
    if status["paused"]:
        print("the queue is paused; “loraswitch queue go-on” lets it draw")
    if not jobs:
        print("the queue is empty")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    rows = [_row(job) for job in jobs]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for *cells, prompt in rows:
        padded = [cell.ljust(size) for cell, size in zip(cells, widths, strict=True)]
        print("  ".join((*padded, prompt))[:width])


def _row(job: dict[str, Any]) -> list[str]:
    stack = " + ".join(f"{clean_line(m['name'], 60)} {m['unet']:.2f}" for m in job["stack"])
    drawn = f"{job['drawn']}/{job['pictures']}"
    reason = f"  ({clean_line(job['reason'])})" if job["reason"] else ""
    said = clean_line(job["prompt"], 1000) + reason
    return [job["id"][:_SHORT], job["state"], drawn, str(job["seed"]), stack or "base", said]


def _drop(engine: EngineRun, args: argparse.Namespace) -> str:
    if bool(args.ids) == args.all:
        raise UsageError("Name the jobs to drop by their ids, or give --all.")
    jobs = engine.engine.view.jobs
    ids = [job.id for job in jobs] if args.all else _found(jobs, args.ids)
    _tell(engine, [CancelJob(id) for id in ids])
    return f"{plural(len(ids), 'job')} dropped"


def _move(engine: EngineRun, args: argparse.Namespace) -> str:
    jobs = engine.engine.view.jobs
    names = [args.id] if args.before is None else [args.id, args.before]
    id, *before = _found(jobs, names)
    if args.before is not None and not before:
        raise UsageError(f"The job {id[:_SHORT]} cannot be drawn before itself.")
    running = next((job.id for job in jobs if job.state == "running"), None)
    if running in (id, *before):
        raise UsageError(f"The job {str(running)[:_SHORT]} is being drawn already.")
    if args.first:
        before = [job.id for job in jobs if job.id not in (id, running)][:1]
    _tell(engine, [MoveJob(id, *before)])
    return f"job {id[:_SHORT]} moved"


def _pause(engine: EngineRun, paused: bool) -> str:
    _tell(engine, [PauseQueue(paused)])
    return "the queue is paused" if paused else "the queue goes on"


def _retry(engine: EngineRun, args: argparse.Namespace) -> str:
    jobs = engine.engine.view.jobs
    (id,) = _found(jobs, [args.id])
    if any(job.id == id and job.state != "set aside" for job in jobs):
        raise EngineError(f"The job {id[:_SHORT]} was not set aside: it is drawn in its turn.")
    _tell(engine, [RetryJob(id)])
    return f"job {id[:_SHORT]} waits again"


def _tell(engine: EngineRun, commands: Sequence[JobCommand]) -> None:
    """Send commands, and wait until all are done; raises `EngineError` for one that is refused."""
    for id in [engine.client.send(engine.engine, command) for command in commands]:
        engine.client.wait(id, Done)


def _found(jobs: Sequence[Job], beginnings: Sequence[str]) -> list[str]:
    """The ids that are meant, each once; raises `UsageError` for one that means none or several."""
    return list(dict.fromkeys(_one(jobs, beginning) for beginning in beginnings))


def _one(jobs: Sequence[Job], beginning: str) -> str:
    found = [job.id for job in jobs if beginning and job.id.startswith(beginning)]
    if beginning in found:
        return beginning
    if not found:
        raise UsageError(f"No job “{beginning[:64]}” is in the queue; loraswitch queue shows them.")
    if len(found) > 1:
        named = ", ".join(id[: max(_SHORT, len(beginning) + 2)] for id in found[:_MOST_NAMED])
        raise UsageError(f"“{beginning}” means {len(found)} jobs ({named}): give more of its id.")
    return found[0]
