"""For all tests: no network, and a tiny checkpoint in the original layout with LoRAs that fit."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

# Read by huggingface_hub when it is imported.
os.environ["HF_HUB_OFFLINE"] = "1"
# Without a GPU its kernels are run by Triton's interpreter. Read when they are imported.
if not Path("/dev/nvidia0").exists():
    os.environ["TRITON_INTERPRET"] = "1"

# Workers side by side: pools of threads on the same cores would wait for each other. Two cores have
# three, as a quarter of the time goes by with waiting for other processes.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# Python's own 700 new objects, after which it looks for garbage, are made by every other line of
# PyTorch: a sixth of the time went there.
gc.set_threshold(20_000, 10, 10)

# A shell that starts the tests in the background has Ctrl-C ignored, here and in what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same cases on every machine, however slow it is.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")


LONGEST = (
    "tests/bench/test_benchmarks.py",
    "tests/cluster/test_cluster.py",
    "tests/demo/test_demo_loras.py",
    "tests/demo/test_demo_pictures.py",
)
"""Files of more than half a minute."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: of two workers, none is to be at one while the other has nothing."""
    items.sort(key=lambda item: item.nodeid.partition("::")[0] not in LONGEST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write half characters in what a test said as escapes: a worker could not send them on."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode())
        for title, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A single-file SDXL of less than half a million untrained weights; not to be changed."""
    # Here, so that tests without a model do not wait for torch.
    from tests.support.tiny_checkpoint import write_tiny_checkpoint

    return write_tiny_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def tiny_loras(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library folder: `neon`, `styles/ink` and `styles/wash` fit the tiny checkpoint."""
    from tests.support.tiny_checkpoint import write_tiny_lora

    folder = tmp_path_factory.mktemp("loras")
    for seed, name in enumerate(("neon", "styles/ink", "styles/wash"), 1):
        write_tiny_lora(folder / f"{name}.safetensors", tiny_checkpoint, seed)
    return folder
