"""The tiny checkpoint opened, and what any copy of it should hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.checkpoint import Checkpoint, open_checkpoint
from engine.sdxl.layout import PARTS, Part


def open_float32(path: Path, **options: object) -> Checkpoint:
    """Open a model on the CPU in float32, which holds every stored value exactly."""
    return open_checkpoint(path, device="cpu", dtype=torch.float32, **options)


def weights(model: Checkpoint, *parts: Part) -> dict[str, torch.Tensor]:
    """All weights of the parts (of all without any) by `part.parameter`."""
    modules: dict[Part, nn.Module] = model.modules
    return {
        f"{part}.{name}": tensor.detach()
        for part in parts or PARTS
        for name, tensor in modules[part].named_parameters()
    }


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """The same names with the same bits and dtypes."""
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


@pytest.fixture(scope="session")
def tiny_weights(tiny_checkpoint: Path) -> dict[str, torch.Tensor]:
    """The tiny checkpoint's weights in float32; not to be changed."""
    return weights(open_float32(tiny_checkpoint))


@pytest.fixture(scope="session")
def saved(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint as diffusers saves it, in float32; not to be changed."""
    folder = tmp_path_factory.mktemp("folder") / "tiny_folder"
    open_float32(tiny_checkpoint).pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(saved, tmp_path / "tiny_folder"))
