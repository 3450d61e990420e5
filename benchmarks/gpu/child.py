"""The process in which sections run: `python -m benchmarks.gpu.child DEVICE quick|full SECTION…`.

What is found goes to standard output, a line of JSON each; what else is printed goes to standard
error.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from importlib import import_module

import torch

from benchmarks.gpu.bench import Bench
from engine.generate.quiet import quiet_libraries


def main() -> None:
    """Run the sections named, one after another."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(message: object) -> None:
        print(json.dumps(message), file=out, flush=True)

    device, form, *names = sys.argv[1:]
    quiet_libraries()
    if form == "quick" and device == "cpu":
        # Small work is done before a second thread wakes up, above all where others keep it busy.
        torch.set_num_threads(1)
    for name in names:
        tell({"begins": name})
        bench = Bench(name, torch.device(device), form == "quick", tell)
        with bench.trying("the section"):
            section = import_module(f"benchmarks.gpu.{name}")
            # What is imported stays: to look through it again and again takes seconds.
            gc.freeze()
            section.run(bench)
        bench.clear()
        tell({"ends": name})


if __name__ == "__main__":
    main()
