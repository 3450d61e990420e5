"""The process in which sections run: `python -m benchmarks.gpu.child DEVICE quick|full SECTION…`.

What is found goes to standard output, a line of JSON each; what else is printed goes to standard
error.
"""

from __future__ import annotations

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
    for name in names:
        tell({"begins": name})
        bench = Bench(name, torch.device(device), form == "quick", tell)
        with bench.trying("the section"):
            import_module(f"benchmarks.gpu.{name}").run(bench)
        bench.clear()
        tell({"ends": name})


if __name__ == "__main__":
    main()
