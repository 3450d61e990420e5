"""Whatever a stranger's file or text holds, it is read or refused, soon and in little memory.

A few seconds of it run with all tests; `LORASWITCH_FUZZ_MINUTES=30` goes on for as long, with new
inputs each time.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.readers import READERS
from tests.fuzz.word_readers import WORD_READERS
from tests.support.bounds import bounded

ALL = READERS | WORD_READERS
MINUTES = float(os.environ.get("LORASWITCH_FUZZ_MINUTES", "0"))
AT_ONCE = 500
"""Examples between two looks at the clock."""


@pytest.mark.parametrize("name", ALL)
def test_any_input_is_read_or_refused_within_bounds(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = ALL[name]
    end = time.monotonic() + 60 * MINUTES / len(ALL)
    tried = 0

    @settings(
        max_examples=AT_ONCE if MINUTES else reader.examples,
        derandomize=not MINUTES,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(reader.inputs)
    def attempt(value: Any) -> None:
        nonlocal tried
        tried += 1
        with bounded(reader.seconds, reader.mebibytes):
            reader.read(value, tmp_path)

    attempt()
    while time.monotonic() < end:
        attempt()
    if MINUTES:
        with capsys.disabled():
            sys.stdout.write(f"\n{name}: {tried:,} inputs\n")
