"""The kernel keeps a copy of W0 on its way: what it was to write is not trusted when it fails.

A CPU is taken for the GPU, and PyTorch for the kernel, which has tests of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from engine.errors import SwitchError
from engine.switch import backup
from tests.support.kernel_stand_in import KernelStandIn, take_cpu_for_gpu
from tests.switch.conftest import Loaded, same_bits


class Kernel(KernelStandIn):
    """A kernel that can fail at one of its launches, before or after it has written."""

    def __init__(self) -> None:
        super().__init__()
        self.at = -1
        self.error: BaseException = RuntimeError("the launch failed")
        self.has_written = False
        self.forgets_copies = False

    def __getitem__(self, grid: tuple[int, int]) -> Callable[..., None]:
        run = super().__getitem__(grid)

        def perhaps(weights: torch.Tensor, *tables: Any, **flags: Any) -> None:
            fails = len(self.launches) == self.at
            if self.forgets_copies:
                weights = weights.clone()
                weights.view(-1, 3)[:, 2] = 0
            if not fails or self.has_written:
                run(weights, *tables, **flags)
            if fails:
                raise self.error

        return perhaps


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    found = Kernel()
    take_cpu_for_gpu(monkeypatch, found)
    return found


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many weights are copied otherwise, each time."""
    found: list[int] = []
    copy_all = backup.copy_all

    def counting(targets: Any, sources: Any) -> None:
        found.append(len(targets))
        copy_all(targets, sources)

    monkeypatch.setattr(backup, "copy_all", counting)
    return found


def is_base(loaded: Loaded) -> bool:
    return not loaded.differing() and not loaded.switcher.verify().different


def test_a_switch_from_the_base_reads_w0_once(
    kernel: Kernel, loaded: Loaded, copied: list[int]
) -> None:
    """What is left is to copy those that no kernel merges; a switch between LoRAs adds its own."""
    switcher, neon = loaded.switcher, loaded.ref("neon", 0.8)
    report = switcher.apply([neon])
    assert (sum(copied), report.merged) == (0, sum(kernel.launches))
    saved = switcher._base._backups
    assert all(
        same_bits(copy, loaded.base[str(name)])
        for name, copy in saved._saved.items()
        if copy is not None
    )
    assert (len(saved.names()), switcher.backup_bytes) == (report.merged, report.backup_bytes)
    switcher.apply([loaded.ref("styles/ink"), loaded.ref("styles/wash")])
    assert sum(copied) <= report.merged, "weights of neon alone go back"
    assert switcher.verify().different == ()
    switcher.apply([])
    assert is_base(loaded)


@pytest.mark.parametrize("has_written", [False, True])
@pytest.mark.parametrize(
    "error", [RuntimeError("no"), torch.OutOfMemoryError("CUDA"), KeyboardInterrupt()]
)
def test_a_launch_that_fails_half_way_ends_in_the_base(
    kernel: Kernel, loaded: Loaded, error: BaseException, has_written: bool
) -> None:
    """Of some weights the copies are written, of others only promised."""
    kernel.at, kernel.error, kernel.has_written = 2, error, has_written
    with pytest.raises((SwitchError, KeyboardInterrupt)):
        loaded.switcher.apply([loaded.ref("neon")])
    assert len(kernel.launches) == 2 + has_written
    assert (loaded.switcher.state, loaded.switcher.backup_bytes) == ("base", 0)
    assert is_base(loaded)
    kernel.at = -1
    loaded.switcher.apply([loaded.ref("neon")])
    loaded.switcher.apply([])
    assert is_base(loaded)


def test_values_beyond_the_range_end_in_the_base(kernel: Kernel, loaded: Loaded) -> None:
    with pytest.raises(SwitchError, match="beyond the range"):
        loaded.switcher.apply([loaded.ref("neon", 1e9)])
    assert is_base(loaded)


def test_a_way_back_that_fails_is_tried_again_with_the_same_copies(
    kernel: Kernel, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.switch import base

    kernel.at, kernel.has_written = 2, True
    with monkeypatch.context() as broken:

        def fails(tensors: object) -> list[int]:
            raise RuntimeError("the bus is down")

        broken.setattr(base, "fingerprints", fails)
        with pytest.raises(SwitchError, match="could not be brought back yet"):
            loaded.switcher.apply([loaded.ref("neon")])
    assert loaded.switcher.state == "recovering"
    loaded.switcher.apply([])
    assert is_base(loaded)


def test_copies_that_were_not_written_are_not_taken_for_the_base(
    kernel: Kernel, loaded: Loaded
) -> None:
    """The worst: weights are written and their copies are not. It is said, and stays so."""
    kernel.at, kernel.has_written, kernel.forgets_copies = 2, True, True
    for _ in range(2):
        with pytest.raises(SwitchError, match=r"could not be brought back .*load the model again"):
            loaded.switcher.apply([loaded.ref("neon")])
        assert loaded.switcher.state == "recovering"


def test_a_fault_before_the_first_launch_leaves_no_promise(
    kernel: Kernel, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that was to become a copy is none to the next switch."""
    with monkeypatch.context() as patch:

        def fails(*_: object) -> object:
            raise SwitchError("no")

        patch.setattr(loaded.switcher._base, "prove_source", fails)
        with pytest.raises(SwitchError, match="no"):
            loaded.switcher.apply([loaded.ref("neon")])
    with pytest.raises(SwitchError, match="cancelled"):
        loaded.switcher.apply([loaded.ref("neon")], lambda: True)
    assert (loaded.switcher.state, loaded.switcher.backup_bytes) == ("base", 0)
    loaded.switcher.backup_weights([loaded.ref("neon")])
    loaded.switcher.apply([loaded.ref("neon")])
    loaded.switcher.apply([])
    assert is_base(loaded)


def test_weights_that_lie_otherwise_by_now_are_copied_before_they_are_merged(
    kernel: Kernel, loaded: Loaded
) -> None:
    loaded.switcher.prefetch(loaded.ref("neon"))
    for part in loaded.parts.values():
        for parameter in part.parameters():
            if parameter.dim() == 2:
                wide = torch.empty(parameter.shape[0], parameter.shape[1] + 8).to(parameter.dtype)
                parameter.data = wide[:, :-8].copy_(parameter.data)
    loaded.switcher.apply([loaded.ref("neon")])
    loaded.switcher.apply([])
    assert is_base(loaded)
