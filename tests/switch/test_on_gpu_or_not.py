"""What is decided for a GPU, without one: kernels or plain products, LoRAs on it or beside it."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from engine.lora.cache import LoraCache
from engine.lora.file import read_lora, read_lora_header
from engine.switch import base as base_module
from engine.switch import grouped, loras
from engine.switch.loras import ModelLoras
from tests.switch.conftest import Loaded

CUDA = torch.device("cuda:0")


def decided(device: torch.device = CUDA) -> bool:
    """Without what was decided for the device before."""
    grouped._TRIED.clear()
    return grouped.kernels_run_on(device)


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """A GPU that kernels can be tried on, and where they were."""
    found: list[torch.device] = []

    def right(device: torch.device) -> bool:
        found.append(device)
        return True

    monkeypatch.setattr(grouped, "_TRIED", {})
    monkeypatch.setattr(grouped.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(grouped, "_kernel_is_right", right)
    return found


def test_kernels_run_where_one_was_right(trials: list[torch.device]) -> None:
    assert decided()
    assert trials == [CUDA]


def test_none_run_on_a_cpu(trials: list[torch.device]) -> None:
    assert not decided(torch.device("cpu"))
    assert trials == []


@pytest.mark.parametrize("missing", ["triton", "a GPU of today"])
def test_none_are_tried_where_none_can_run(
    trials: list[torch.device], monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing == "triton":
        monkeypatch.setattr(grouped.importlib.util, "find_spec", lambda name: None)
    else:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert not decided()
    assert trials == []


def test_none_run_where_the_first_was_wrong_or_could_not_be_built(
    trials: list[torch.device],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(grouped, "_kernel_is_right", lambda device: False)
    assert not decided()

    def no_compiler(device: torch.device) -> bool:
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(grouped, "_kernel_is_right", no_compiler)
    with caplog.at_level(logging.ERROR):
        assert not decided()
    assert "Failed to find C compiler" in caplog.text


def test_what_was_tried_without_room_is_tried_again(
    trials: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = grouped._kernel_is_right

    def full(device: torch.device) -> bool:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(grouped, "_kernel_is_right", full)
    assert not grouped.kernels_run_on(CUDA)
    monkeypatch.setattr(grouped, "_kernel_is_right", right)
    assert grouped.kernels_run_on(CUDA)
    assert grouped.kernels_run_on(CUDA)
    assert trials == [CUDA], "once it has run it is known"


@pytest.mark.parametrize("trouble", ["too large", "no room"])
def test_a_lora_that_the_gpu_has_no_room_for_stays_in_main_memory(
    loaded: Loaded, tiny_loras: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    sent: list[str] = []

    class Full(loras.DeviceLoras):
        def adapters(self, file, adapters):  # type: ignore[no-untyped-def]
            sent.append(file.path.name)
            raise torch.OutOfMemoryError("CUDA out of memory")

    file = read_lora(read_lora_header(tiny_loras / "neon.safetensors"))
    of_model = ModelLoras(loaded.parts, LoraCache(), lambda: CUDA)
    adapters, _ = of_model._fit_file(file)
    monkeypatch.setattr(loras, "DeviceLoras", Full)
    limit = file.bytes - (trouble == "too large")
    monkeypatch.setattr(loras, "lora_bytes", lambda device: limit)
    assert of_model.where_the_weights_are(file, adapters) is adapters
    assert len(sent) == (trouble == "no room")


def test_idle_copies_are_kept_where_they_are_pinned(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = loaded.switcher._base
    assert base._idle_limit("cpu") == 0
    monkeypatch.setattr(type(base), "device", CUDA)
    memory = SimpleNamespace(total=8 << 30)
    monkeypatch.setattr(base_module.psutil, "virtual_memory", lambda: memory)
    assert base._idle_limit("cpu") == 2 << 30
    assert base._idle_limit("device") == base._idle_limit("file") == 0
