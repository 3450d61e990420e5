"""Measure the program on a GPU: what is right, how fast it is, and how far from the limit.

Each section runs in a process of its own with a time limit; every result is a line of JSON the
moment it is known, and a table ends the run. Without a CUDA device, or with --quick, each section
that can runs in small.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from benchmarks.gpu.report import as_text, table
from benchmarks.gpu.sections import SECTIONS
from benchmarks.gpu.watch import Plan, run_sections
from benchmarks.record import record
from benchmarks.tables import write_tables

BUDGET_SECONDS = 1500


def main() -> None:
    """Run the sections, print what they find, and keep it when it is of a GPU at full size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--only", default=",".join(SECTIONS), metavar="SECTION,…")
    parser.add_argument("--budget", type=float, default=BUDGET_SECONDS, metavar="SECONDS")
    parser.add_argument("--quick", action="store_true", help="each section in small")
    parser.add_argument("--lines", type=Path, metavar="FILE", help="keep the lines of JSON here")
    args = parser.parse_args()
    names = [name for name in args.only.split(",") if name]
    if unknown := set(names) - set(SECTIONS):
        parser.error(f"there is no {', '.join(sorted(unknown))}; choose from {', '.join(SECTIONS)}")
    has_gpu = torch.cuda.is_available()
    plan = Plan(
        device="cuda:0" if has_gpu else "cpu",
        is_quick=args.quick or not has_gpu,
        budget=args.budget,
    )
    found: list[Mapping[str, object]] = []
    with (args.lines or Path("/dev/null")).open("a", encoding="utf-8") as lines:
        for result in run_sections(names, plan):
            found.append(result)
            line = json.dumps(result)
            print(line, flush=True)
            print(line, file=lines, flush=True)
    print(as_text(table(found)), file=sys.stderr)
    if has_gpu and not args.quick:
        record("gpu", {"results": found})
        write_tables()


if __name__ == "__main__":
    main()
