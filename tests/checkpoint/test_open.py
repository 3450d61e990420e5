"""Opening checkpoints: the right weights in the right places, offline, or a clear refusal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file

from engine.checkpoint import open_checkpoint
from engine.checkpoint.config import checkpoint_config
from engine.errors import CheckpointError, EngineError
from engine.files.header import read_header


def test_weights_equal_those_of_diffusers_own_loader(tiny_checkpoint: Path, tmp_path: Path) -> None:
    ours = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float32).pipeline
    config = checkpoint_config("tiny", read_header(tiny_checkpoint))
    for part in ("unet", "vae", "text_encoder", "text_encoder_2", "scheduler"):
        folder = tmp_path / part
        folder.mkdir()
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        (folder / name).write_text(json.dumps(config[part]))
    index = {"_class_name": "StableDiffusionXLPipeline"}
    libraries = {
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
    }
    (tmp_path / "model_index.json").write_text(json.dumps({**index, **libraries}))
    theirs = StableDiffusionXLPipeline.from_single_file(
        str(tiny_checkpoint),
        config=str(tmp_path),
        local_files_only=True,
        dtype=torch.float32,
        tokenizer=ours.tokenizer,
        tokenizer_2=ours.tokenizer_2,
        add_watermarker=False,
    )
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        expected = dict(getattr(theirs, part).named_parameters())
        found = dict(getattr(ours, part).named_parameters())
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            assert torch.equal(found[name], tensor.detach()), f"{part}.{name}"


def test_progress_counts_every_byte(tiny_checkpoint: Path) -> None:
    seen: list[tuple[int, int]] = []
    open_checkpoint(
        tiny_checkpoint,
        device="cpu",
        dtype=torch.float32,
        progress=lambda done, total: seen.append((done, total)),
    )
    header = read_header(tiny_checkpoint)
    assert seen[-1] == (header.file_size - header.data_start,) * 2


def test_a_missing_tensor_is_named(tiny_checkpoint: Path, tmp_path: Path) -> None:
    tensors = load_file(tiny_checkpoint)
    del tensors["model.diffusion_model.out.2.bias"]
    path = tmp_path / "part.safetensors"
    save_file(tensors, path, dict(read_header(tiny_checkpoint).metadata))
    with pytest.raises(CheckpointError, match=r"out\.2\.bias is missing"):
        open_checkpoint(path, device="cpu", dtype=torch.float32)


@pytest.mark.parametrize("name", ["nothing.safetensors", "folder"])
def test_what_is_not_there_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(EngineError, match=name):
        open_checkpoint(tmp_path / name, device="cpu", dtype=torch.float32)
