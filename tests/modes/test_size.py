"""Bytes told by headers are those of the loaded parameters; on a CPU the file itself costs none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.checkpoint import open_checkpoint
from engine.checkpoint.read import ModelChoice, read_model
from engine.demo import DEMO_MODEL
from engine.modes.size import ModelBytes, model_bytes
from engine.sdxl.layout import PARTS


def bytes_of(path: Path, dtype: torch.dtype, *, mapped: bool = False) -> ModelBytes:
    return model_bytes(read_model(ModelChoice(path), half=True), dtype, mapped=mapped)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_file_takes_what_its_parameters_take(tiny_checkpoint: Path, dtype: torch.dtype) -> None:
    checkpoint = open_checkpoint(tiny_checkpoint, device="cpu", dtype=dtype)
    size = bytes_of(tiny_checkpoint, dtype)
    for part in PARTS:
        loaded = sum(p.nbytes for p in checkpoint.modules[part].parameters())
        assert getattr(size, part) == pytest.approx(loaded, rel=0.01), part
    assert size.pixels == checkpoint.default_size**2
    assert size.total > size.largest == size.unet


def test_a_vae_takes_what_its_own_type_takes(tiny_checkpoint: Path) -> None:
    kinds = {"dtype": torch.float16, "vae_dtype": torch.bfloat16}
    checkpoint = open_checkpoint(tiny_checkpoint, device="cpu", **kinds)
    files = read_model(ModelChoice(tiny_checkpoint), half=True)
    size = model_bytes(files, mapped=False, **kinds)
    loaded = sum(p.nbytes for p in checkpoint.modules["vae"].parameters())
    assert size.vae == pytest.approx(loaded, rel=0.01)
    assert size.vae_itemsize == 2
    assert {p.dtype for p in checkpoint.modules["vae"].parameters()} == {torch.bfloat16}
    assert {p.dtype for p in checkpoint.modules["unet"].parameters()} == {torch.float16}


def test_a_folder_takes_what_its_parameters_take(tiny_checkpoint: Path, tmp_path: Path) -> None:
    pipe = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float16).pipeline
    pipe.save_pretrained(tmp_path)
    size = bytes_of(tmp_path, torch.float16)
    for part in PARTS:
        loaded = sum(p.nbytes for p in getattr(pipe, part).parameters())
        assert getattr(size, part) == pytest.approx(loaded, rel=0.01), part


def test_what_is_the_mapped_file_takes_no_memory(tiny_checkpoint: Path) -> None:
    stored = bytes_of(tiny_checkpoint, torch.float16, mapped=True)
    converted = bytes_of(tiny_checkpoint, torch.float32, mapped=True)
    assert (stored.unet, stored.text_encoder, stored.text_encoder_2) == (0, 0, 0)
    assert converted == bytes_of(tiny_checkpoint, torch.float32)


def test_the_demo_is_small() -> None:
    assert bytes_of(DEMO_MODEL, torch.float32).pixels == 192 * 192
