"""Run sections in processes of their own: none outlives its limit or takes the rest along."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.gpu.report import Result
from benchmarks.gpu.sections import QUICK_SECONDS, SECTIONS

CHILD = ("-m", "benchmarks.gpu.child")


@dataclass(frozen=True)
class Plan:
    """Where sections run, in which form, and for how many seconds together."""

    device: str
    is_quick: bool
    budget: float
    child: Sequence[str] = CHILD
    """Python's arguments for a process that runs sections."""


def run_sections(names: Sequence[str], plan: Plan) -> Iterator[Result]:
    """Results one by one as they are found; sections that failed, or were not run, say so."""
    end = time.monotonic() + plan.budget
    left = list(names)
    while left:
        name = left[0]
        if SECTIONS[name].needs_cuda and not plan.device.startswith("cuda"):
            yield _said(left.pop(0), skipped="no CUDA device")
        elif time.monotonic() >= end:
            yield _said(left.pop(0), skipped=f"the budget of {plan.budget:.0f} s is spent")
        else:
            # Small ones share a process, since to import torch takes longer than they do.
            following = _following(left, plan) if plan.is_quick else [name]
            yield from _run(following, left, plan, end)


def _following(left: Sequence[str], plan: Plan) -> list[str]:
    """The sections from the first on that can run here without a break."""
    has_gpu = plan.device.startswith("cuda")
    return [name for name in left if has_gpu or not SECTIONS[name].needs_cuda]


def _run(names: Sequence[str], left: list[str], plan: Plan, end: float) -> Iterator[Result]:
    """Run sections in one process until it ends or one is out of time; takes them out of `left`."""
    command = [sys.executable, *plan.child, plan.device, "quick" if plan.is_quick else "full"]
    process = subprocess.Popen(
        [*command, *names],
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_pass_on, args=(process, lines), daemon=True).start()
    current: str | None = None
    began = limit = 0.0
    try:
        deadline = end
        while (line := lines.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            message = json.loads(line)
            if "begins" in message:
                current, began = message["begins"], time.monotonic()
                limit = QUICK_SECONDS if plan.is_quick else SECTIONS[current].seconds
                deadline = min(end, began + limit)
            elif "ends" in message:
                left.remove(message["ends"])
                yield _said(message["ends"], measured=time.monotonic() - began, unit="s")
                current, deadline = None, end
            else:
                yield message
        if process.wait() and (lost := current or names[0]) in left:
            left.remove(lost)
            yield _said(lost, error=f"its process ended with code {process.returncode}")
    except queue.Empty:
        if (late := current or names[0]) in left:
            left.remove(late)
            yield _said(late, error=f"stopped after {time.monotonic() - began:.0f} s")
    finally:
        _end(process)


def _pass_on(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None, "a pipe"
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """End a process with all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


def _said(section: str, **values: object) -> Result:
    return {"section": section, "name": "the section", **values}
