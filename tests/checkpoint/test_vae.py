"""VAEs from inside a checkpoint, beside it, and from files and folders of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from engine.checkpoint import check_checkpoint
from engine.errors import CheckpointError
from tests.checkpoint.conftest import assert_same, open_float32, weights
from tests.support.tiny_checkpoint import rewrite_checkpoint, write_tiny_checkpoint

Tensors = dict[str, torch.Tensor]
PREFIX = "first_stage_model."


def drop_vae(tensors: Tensors) -> None:
    for key in [key for key in tensors if key.startswith(PREFIX)]:
        del tensors[key]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another tiny checkpoint, whose VAE has other weights."""
    return write_tiny_checkpoint(tmp_path_factory.mktemp("other"), seed=5)


@pytest.fixture(scope="module")
def other_vae(other: Path) -> AutoencoderKL:
    vae: AutoencoderKL = open_float32(other).pipeline.vae
    return vae


@pytest.fixture
def without_vae(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return rewrite_checkpoint(tiny_checkpoint, tmp_path / "model", drop_vae)


def original(folder: Path, other: Path, vae: AutoencoderKL) -> Path:
    tensors = {k: t for k, t in load_file(other).items() if k.startswith(PREFIX)}
    save_file(tensors, folder / "vae.safetensors")
    return folder / "vae.safetensors"


def original_bare(folder: Path, other: Path, vae: AutoencoderKL) -> Path:
    """As `sdxl_vae.safetensors`: no prefix, attention as 1x1 convolutions."""
    tensors = {
        k.removeprefix(PREFIX): t for k, t in load_file(other).items() if k.startswith(PREFIX)
    }
    for key, tensor in tensors.items():
        if ".attn_1." in key and tensor.dim() == 2:
            tensors[key] = tensor[:, :, None, None].contiguous()
    save_file({**tensors, "loss.logvar": torch.zeros(())}, folder / "vae.safetensors")
    return folder / "vae.safetensors"


def diffusers_folder(folder: Path, other: Path, vae: AutoencoderKL) -> Path:
    vae.save_pretrained(folder / "vae")
    return folder / "vae"


def diffusers_file(folder: Path, other: Path, vae: AutoencoderKL) -> Path:
    return diffusers_folder(folder, other, vae) / "diffusion_pytorch_model.safetensors"


def old_diffusers_file(folder: Path, other: Path, vae: AutoencoderKL) -> Path:
    """With the attention's names of before diffusers 0.14."""
    names = (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn"))

    def old(name: str) -> str:
        for new, former in names:
            name = name.replace(f".attentions.0.{new}.", f".attentions.0.{former}.")
        return name

    tensors = {old(name): p.detach().clone() for name, p in vae.named_parameters()}
    assert "decoder.mid_block.attentions.0.proj_attn.weight" in tensors
    save_file(tensors, folder / "vae.safetensors")
    return folder / "vae.safetensors"


def whole_checkpoint(folder: Path, other: Path, vae: AutoencoderKL) -> Path:
    return other


@pytest.mark.parametrize(
    "write",
    [
        original,
        original_bare,
        diffusers_file,
        old_diffusers_file,
        diffusers_folder,
        whole_checkpoint,
    ],
)
@pytest.mark.parametrize("inside", [True, False])
def test_a_vae_of_its_own_is_used_in_every_layout(
    tiny_checkpoint: Path,
    without_vae: Path,
    tiny_weights: Tensors,
    other: Path,
    other_vae: AutoencoderKL,
    tmp_path: Path,
    write: Callable[[Path, Path, AutoencoderKL], Path],
    inside: bool,
) -> None:
    path = tiny_checkpoint if inside else without_vae
    vae = write(tmp_path, other, other_vae)
    check_checkpoint(path, vae=vae)
    model = open_float32(path, vae=vae)
    expected = {f"vae.{name}": p.detach() for name, p in other_vae.named_parameters()}
    assert_same(weights(model, "vae"), expected)
    networks = ("unet", "text_encoder", "text_encoder_2")
    assert_same(
        weights(model, *networks),
        {name: t for name, t in tiny_weights.items() if not name.startswith("vae.")},
    )
    assert model.source is not None
    name = "decoder.mid_block.attentions.0.to_q.weight"
    assert torch.equal(model.source.read("vae", name), expected[f"vae.{name}"])


def test_a_vae_beside_the_checkpoint_is_found(
    without_vae: Path, other: Path, other_vae: AutoencoderKL
) -> None:
    beside = original(without_vae.parent, other, other_vae)
    beside.rename(without_vae.with_name("other.vae.safetensors"))
    expected = {f"vae.{name}": p.detach() for name, p in other_vae.named_parameters()}
    assert_same(weights(open_float32(without_vae), "vae"), expected)


def test_without_any_vae_it_is_said_what_to_do(without_vae: Path) -> None:
    for function in (check_checkpoint, open_float32):
        with pytest.raises(CheckpointError, match=r"no VAE in it.*other\.vae\.safetensors"):
            function(without_vae)


def test_what_is_no_vae_is_named(without_vae: Path, tmp_path: Path) -> None:
    path = tmp_path / "style.safetensors"
    save_file({"lora_unet_x.lora_down.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"style\.safetensors: this is no VAE.*LoRA"):
        check_checkpoint(without_vae, vae=path)
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        check_checkpoint(without_vae, vae=tmp_path)


def test_a_vae_of_another_size_is_refused(
    without_vae: Path, other_vae: AutoencoderKL, tmp_path: Path
) -> None:
    tensors = {name: p.detach().clone() for name, p in other_vae.named_parameters()}
    tensors["quant_conv.weight"] = torch.zeros(32, 32, 1, 1)
    save_file(tensors, tmp_path / "flux.safetensors")
    with pytest.raises(CheckpointError, match=r"flux.*\[32, 32, 1, 1\].*does not fit"):
        open_float32(without_vae, vae=tmp_path / "flux.safetensors")


def test_ema_and_stray_tensors_are_left_out_and_counted(
    tiny_checkpoint: Path,
    tiny_weights: Tensors,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def add(tensors: Tensors) -> None:
        unet = "model.diffusion_model."
        for key in [key for key in tensors if key.startswith(unet)][:9]:
            tensors[f"model_ema.{key.removeprefix('model.').replace('.', '')}"] = tensors[key] + 1
        tensors["alphas_cumprod"] = torch.zeros(1000)
        tensors["conditioner.embedders.0.transformer.text_model.embeddings.position_ids"] = (
            torch.arange(77)[None]
        )
        tensors["conditioner.embedders.1.model.logit_scale"] = torch.tensor(100.0)

    caplog.set_level(logging.INFO, "engine")
    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, add)
    assert_same(weights(open_float32(path)), tiny_weights)
    assert "other.safetensors: 10 tensors left out, 9 of them EMA weights" in caplog.messages
