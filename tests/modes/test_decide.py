"""The mode of a model on GPUs of several sizes, by what is asked for and what may move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.errors import EngineError
from engine.modes import decide
from engine.modes.decide import decide_mode, require_backup
from engine.protocol.modes import MODES, Mode, ModeChoice

from .test_choose import GIB, SDXL

FILES: Any = SimpleNamespace(path=Path("xl.safetensors"))


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A GPU with so many GB, of which driver and desktop take 0.7, and a machine with 64."""
    card = SimpleNamespace(gb=24.0)

    def model_bytes(*_: object, vae_dtype: torch.dtype, **__: object) -> object:
        share = vae_dtype.itemsize
        return replace(SDXL, vae=SDXL.vae // 4 * share, vae_itemsize=share)

    monkeypatch.setattr(decide, "free_bytes", lambda device: int((card.gb - 0.7) * GIB))
    monkeypatch.setattr(decide, "model_bytes", model_bytes)
    memory = SimpleNamespace(available=64 * GIB)
    monkeypatch.setattr(decide.psutil, "virtual_memory", lambda: memory)
    return card


def mode_on(device: str, choice: ModeChoice = "auto", **given: Any) -> Mode:
    return decide_mode(choice, FILES, device, torch.float16, **given)


@pytest.mark.parametrize(
    ("gb", "of_float32", "of_bfloat16"),
    [
        (24, "resident", "resident"),
        (16, "resident", "resident"),
        (12, "tiled", "resident"),
        (8, "encoder-offload", "encoder-offload"),
        (7, "model-offload", "encoder-offload"),
        (6, "group-offload", "group-offload"),
    ],
)
def test_a_gpu_gets_the_fastest_mode_that_fits(
    card: SimpleNamespace, gb: float, of_float32: Mode, of_bfloat16: Mode
) -> None:
    card.gb = gb
    assert mode_on("cuda:0") == of_float32
    assert mode_on("cuda:0", vae_dtype=torch.bfloat16) == of_bfloat16


def test_a_unet_that_is_to_stay_has_encoders_that_visit_as_its_last_mode(
    card: SimpleNamespace,
) -> None:
    """Compiled code and graphs know the UNet's addresses, not the encoders'."""
    card.gb = 7.5
    assert mode_on("cuda:0", stays=True) == "encoder-offload"
    card.gb = 6
    with pytest.raises(EngineError, match=r"in the mode encoder-offload, and 5\.3 GiB are free"):
        mode_on("cuda:0", stays=True)


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_memory_that_is_the_main_one_gains_by_no_visits(card: SimpleNamespace, device: str) -> None:
    card.gb = 8
    assert mode_on(device) == "tiled"
    assert mode_on(device, "encoder-offload") == "encoder-offload", "asked for"


def test_backups_beside_the_weights_are_refused_where_the_unet_comes_and_goes() -> None:
    refused = []
    for mode in ("auto", *MODES):
        try:
            require_backup(mode, "device")
        except EngineError:
            refused.append(mode)
    assert refused == ["model-offload", "group-offload"]
