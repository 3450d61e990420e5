"""Hundreds of switches through every format, tier and kind of fault leave the base exact."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.faults import FAULTS
from tests.support.hard_use import HardUse, write_subject


@pytest.fixture(autouse=True)
def one_thread_of_torch() -> Iterator[None]:
    """The same sums in every thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    return write_subject(tmp_path_factory.mktemp("subject"))


@pytest.mark.parametrize(
    ("threads", "dtype"), [(1, torch.bfloat16), (3, torch.float16)], ids=["one", "three"]
)
def test_hundreds_of_switches_with_faults(
    threads: int, dtype: torch.dtype, subject: tuple[Path, list[Path]]
) -> None:
    found = HardUse(*subject, dtype).run(switches=250, threads=threads)
    assert found.wrong == []
    assert found.switches == 250
    assert found.checks > 80
    assert found.outcomes["switched"] > 125
    struck = {outcome.partition(":")[0] for outcome in found.outcomes}
    assert len(struck & set(FAULTS)) > len(FAULTS) / 2, "the faults do strike"


def test_every_format_is_in_the_library(subject: tuple[Path, list[Path]]) -> None:
    _, library = subject
    assert len(library) >= 45
    assert all(load_file(path) for path in library)
