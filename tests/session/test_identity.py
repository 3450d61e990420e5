"""A model's fingerprint: of its weights and their use, not of its file's place or name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from engine import LoraSwitcher
from engine.checkpoint import open_checkpoint
from engine.library.hash_store import HashStore
from engine.protocol.commands import Load
from engine.session.identity import model_fingerprint
from engine.session.loading import open_model
from tests.support.tiny_checkpoint import rewrite_checkpoint


def fingerprint(path: Path, **options: object) -> str:
    load = Load(path, device="cpu", **options)  # type: ignore[arg-type]
    opened = open_model(load, lambda _: None, lambda: False, lambda: None, HashStore())
    assert opened.describe().fingerprint == opened.fingerprint
    return opened.fingerprint


def test_it_is_the_same_wherever_the_model_lies(tiny_checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_checkpoint.parent, tmp_path, dirs_exist_ok=True)
    moved = (tmp_path / tiny_checkpoint.name).rename(tmp_path / "renamed.safetensors")
    assert fingerprint(moved) == fingerprint(tiny_checkpoint)


@pytest.mark.parametrize(
    "part", ["model.diffusion_model.out.2.bias", "first_stage_model.decoder.conv_out.bias"]
)
def test_one_other_weight_is_another_model(
    part: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[part][0] += 1

    other = rewrite_checkpoint(tiny_checkpoint, tmp_path, change)
    assert fingerprint(other) != fingerprint(tiny_checkpoint)


def test_another_use_is_another_model(tiny_checkpoint: Path) -> None:
    uses = [{}, {"dtype": "float16"}, {"vae_dtype": "bfloat16"}, {"prediction": "v"}]
    assert len({fingerprint(tiny_checkpoint, **use) for use in uses}) == len(uses)


def test_the_switcher_of_a_pipeline_has_it_too(tiny_checkpoint: Path) -> None:
    pipe = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float16).pipeline
    switcher = LoraSwitcher(pipe.unet, pipe.text_encoder, pipe.text_encoder_2)
    before = switcher.base_fingerprint
    pipe.unet.conv_in.bias.data[0] += 1
    assert switcher.base_fingerprint == before, "of the weights as they were loaded"


def test_another_setting_of_a_network_is_another_model(tiny_checkpoint: Path) -> None:
    checkpoint = open_checkpoint(tiny_checkpoint, device="cpu", dtype=torch.float16)
    pipe = checkpoint.pipeline
    seen = {model_fingerprint(checkpoint, "base", "decoder")}
    pipe.vae.register_to_config(force_upcast=not pipe.vae.config.force_upcast)
    seen.add(model_fingerprint(checkpoint, "base", "decoder"))
    pipe.scheduler.register_to_config(trained_betas=[0.1, 0.2])
    seen.add(model_fingerprint(checkpoint, "base", "decoder"))
    pipe.text_encoder.config.hidden_act = "quick_gelu_of_another"
    seen.add(model_fingerprint(checkpoint, "base", "decoder"))
    assert len(seen) == 4
