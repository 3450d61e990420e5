"""Run the benchmarks: all of them, or those named; `--quick` tries each in small.

A full run takes about 15 GiB of memory, 12 GiB of disk and half an hour or so of a machine that
does nothing else, and keeps its figures in `results/`. A quick one keeps nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib import import_module
from typing import Any

from benchmarks.record import record
from benchmarks.tables import write_tables
from engine.generate.quiet import quiet_libraries

NAMES = (
    "switching",
    "stacks",
    "memory",
    "merge_accuracy",
    "demo_picture",
    "first_frame",
    "keys",
    "terminal_bytes",
    "beside_app",
    "large_library",
    "library_growth",
    "library_follow",
    "gallery",
    "kills",
    "audition",
)
FULL_SIZE_ONLY = ("memory", "library_growth", "library_follow")


def main() -> None:
    """Run and record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="only try that each of them runs")
    args = parser.parse_args()
    unknown = set(args.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}")
    quiet_libraries()
    # Users' starts find what was compiled the last time.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    names = args.names or [n for n in NAMES if not (args.quick and n in FULL_SIZE_ONLY)]
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        figures: dict[str, Any] = import_module(f"benchmarks.{name}").measure(quick=args.quick)
        if args.quick:
            print(json.dumps({name: figures}))
        else:
            record(name, figures)
            write_tables()


if __name__ == "__main__":
    main()
