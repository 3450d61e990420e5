"""What is decided for a GPU, without one: kernels or plain products, LoRAs on it or beside it."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from engine.lora.cache import LoraCache
from engine.lora.file import read_lora, read_lora_header
from engine.switch import grouped, loras, tier
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


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("Failed to find C compiler. Please specify via CC", "needs a C compiler.*install gcc"),
        ("PTXAS error: nothing\nmore", r"cannot build its kernel \(PTXAS error: nothing\)"),
    ],
)
def test_the_user_is_told_why_switches_are_slow(
    trials: list[torch.device], monkeypatch: pytest.MonkeyPatch, trouble: str, words: str
) -> None:
    def fails(device: torch.device) -> bool:
        raise RuntimeError(trouble)

    monkeypatch.setattr(grouped, "_WHY_NOT", {})
    monkeypatch.setattr(grouped, "_kernel_is_right", fails)
    (note,) = grouped.warm_up(CUDA, torch.float16)
    assert re.search(words, note)
    monkeypatch.setattr(grouped, "_TRIED", {})
    monkeypatch.setattr(grouped.importlib.util, "find_spec", lambda name: None)
    assert "Triton is not installed" in grouped.warm_up(CUDA, torch.float16)[0]
    assert grouped.warm_up(torch.device("cpu"), torch.float16) == ()


def test_kernels_for_every_kind_of_lora_are_built_at_load(
    trials: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[tuple[torch.dtype, ...]] = []

    def right(device: torch.device, *dtypes: torch.dtype) -> bool:
        built.append(dtypes)
        return True

    monkeypatch.setattr(grouped, "_kernel_is_right", right)
    assert grouped.warm_up(CUDA, torch.bfloat16) == ()
    assert set(built[1:]) == {
        (torch.bfloat16, factors) for factors in (torch.float16, torch.bfloat16, torch.float32)
    }


@pytest.mark.parametrize("trouble", ["wrong", "not built"])
def test_none_run_where_those_for_the_model_are_not_right(
    trials: list[torch.device], monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """The first, in float16, is right: only one of bfloat16 is not."""

    def right(device: torch.device, *dtypes: torch.dtype) -> bool:
        if torch.bfloat16 in dtypes and trouble == "not built":
            raise RuntimeError("PTXAS error: no bfloat16")
        return torch.bfloat16 not in dtypes

    monkeypatch.setattr(grouped, "_kernel_is_right", right)
    monkeypatch.setattr(grouped, "_WHY_NOT", {})
    (note,) = grouped.warm_up(CUDA, torch.bfloat16)
    assert ("no bfloat16" in note) == (trouble == "not built")
    assert not grouped.kernels_run_on(CUDA)


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
        def adapters(self, file, adapters, elsewhere=()):  # type: ignore[no-untyped-def]
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


def test_idle_copies_are_kept_where_they_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(total=8 << 30)
    monkeypatch.setattr(tier.psutil, "virtual_memory", lambda: memory)
    assert tier.idle_bytes("cpu", torch.device("cpu")) == 0
    assert tier.idle_bytes("cpu", CUDA) == tier.idle_bytes("device", CUDA) == 2 << 30
    assert tier.idle_bytes("file", CUDA) == 0
