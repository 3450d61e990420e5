"""Configurations of any content, and paths that lead to no file: refused in a sentence."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from engine.checkpoint import plan_checkpoint
from engine.checkpoint.config import METADATA_KEY
from engine.checkpoint.outline import outline_of
from engine.checkpoint.source import WeightFile
from engine.errors import CheckpointError, FileFormatError
from tests.support.tiny_checkpoint import rewrite_checkpoint


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refusal(path: Path, vae: Path | None = None) -> str:
    with pytest.raises(CheckpointError) as caught:
        plan_checkpoint(path, dtype=torch.float32, vae=vae)
    return str(caught.value)


def test_a_pipe_is_refused_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(FileFormatError, match=r"pipe\.safetensors: this is not a file"):
        WeightFile.open(tmp_path / "pipe.safetensors")


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("vae", {"block_out_channels": None}),
        ("vae", {"block_out_channels": 4}),
        ("vae", {"block_out_channels": []}),
        ("vae", {"block_out_channels": [-8, 8, 8, 8]}),
        ("unet", {"sample_size": "x"}),
        ("unet", {"sample_size": [8, 8]}),
        ("unet", {"attention_head_dim": 0}),
        ("text_encoder", {"vocab_size": "x"}),
        ("text_encoder_2", {"num_attention_heads": 0}),
    ],
)
def test_settings_that_make_no_sense(folder: Path, part: str, changes: dict[str, Any]) -> None:
    edit(folder / part / "config.json", **changes)
    words = refusal(folder)
    assert "tiny_folder" in words
    assert "makes no sense" in words
    assert "\n" not in words


def test_settings_of_any_name_are_no_names_of_ours(folder: Path, tiny_checkpoint: Path) -> None:
    edit(folder / "vae" / "config.json", vae=1, config=3)
    for model in (folder, tiny_checkpoint):
        plan = plan_checkpoint(model, dtype=torch.float32, vae=folder / "vae")
        assert plan.files.config["vae"]["config"] == 3


def test_a_unet_without_a_size_is_taken_for_sdxls(folder: Path) -> None:
    edit(folder / "unet" / "config.json", sample_size=None)
    assert plan_checkpoint(folder, dtype=torch.float32).default_size == 1024


def test_an_index_that_names_no_files(folder: Path) -> None:
    index = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": ["b"]}}))
    assert "does not name the files" in refusal(folder)


def test_a_header_nested_beyond_reason(tiny_checkpoint: Path, tmp_path: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, lambda t: None, **{METADATA_KEY: deep})
    assert f"{METADATA_KEY} is not JSON" in refusal(path)


def drop_vae_of_file(checkpoint: Path, folder: Path, tmp_path: Path) -> Path:
    def drop(tensors: dict[str, torch.Tensor]) -> None:
        for key in [key for key in tensors if key.startswith("first_stage_model.")]:
            del tensors[key]

    return rewrite_checkpoint(checkpoint, tmp_path / "bare", drop)


def drop_vae_of_folder(checkpoint: Path, folder: Path, tmp_path: Path) -> Path:
    shutil.rmtree(folder / "vae")
    return folder


@pytest.mark.parametrize("drop", [drop_vae_of_file, drop_vae_of_folder])
def test_an_outline_needs_no_vae(
    tiny_checkpoint: Path, folder: Path, tmp_path: Path, drop: Callable[[Path, Path, Path], Path]
) -> None:
    whole = outline_of(tiny_checkpoint, torch.float32)
    bare = outline_of(drop(tiny_checkpoint, folder, tmp_path), torch.float32)
    for part, module in whole.items():
        shapes = {name: value.shape for name, value in module.named_parameters()}
        assert {n: value.shape for n, value in bare[part].named_parameters()} == shapes


@pytest.mark.parametrize(
    "colours",
    [
        {"factors": [[1.0, 0.0]] * 4},
        {"factors": "red"},
        {"bias": [0.0, 0.0]},
        {"bias": [0.0, 0.0, float("inf")]},
        {"bias": None},
    ],
    ids=str,
)
def test_colours_of_previews_that_make_no_sense(
    tiny_checkpoint: Path, tmp_path: Path, colours: dict[str, Any]
) -> None:
    """Noticed when the model is opened, not when the first preview is drawn."""
    with safe_open(tiny_checkpoint, framework="pt") as file:
        own = json.loads(file.metadata()[METADATA_KEY])
    text = json.dumps(own | {"latent_rgb": colours})
    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, lambda t: None, **{METADATA_KEY: text})
    assert "makes no sense" in refusal(path)
