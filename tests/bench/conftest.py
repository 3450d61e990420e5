"""A small model of SDXL's structure with random weights, and LoRAs for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.bench import limits
from engine.bench.subject import Subject, random_subject

RANK = 3


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products are timed for as long as it takes to see that they are."""
    monkeypatch.setattr(limits, "_PRODUCT_SECONDS", 0.001)


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    """With two LoRAs of rank `RANK` and a file that the base can be read from."""
    return random_subject(tmp_path, rank=RANK, device="cpu", loras=2, small=True)
