"""Switching on SDXL at full size with random weights and LoRAs: what `loraswitch bench` measures.

The report's figures are `engine.bench`'s own; see the README beside this file for the floor.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from engine.bench.run import run_bench
from engine.bench.subject import random_subject

RANK = 32
REPEAT = 3


def measure(*, quick: bool) -> dict[str, Any]:
    """Everything at full size; small and once when `quick`."""
    with tempfile.TemporaryDirectory() as folder:
        subject = random_subject(Path(folder), rank=4 if quick else RANK, small=quick)
        report = run_bench(subject, repeat=1 if quick else REPEAT)
    return {"rank": 4 if quick else RANK, **report.as_plain()}
