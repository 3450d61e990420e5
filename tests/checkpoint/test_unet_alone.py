"""A UNet without text encoders: ComfyUI's diffusion_models folder, and the unet of diffusers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.checkpoint import check_checkpoint
from engine.checkpoint.read import ModelChoice, read_model
from engine.errors import CheckpointError
from tests.checkpoint.conftest import assert_same, open_float32, weights
from tests.support.tiny_checkpoint import rewrite_checkpoint, write_tiny_checkpoint

Tensors = dict[str, torch.Tensor]
UNET = "model.diffusion_model."


@pytest.fixture(scope="module")
def lender(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model with other weights."""
    return write_tiny_checkpoint(tmp_path_factory.mktemp("lender"), seed=5)


def with_prefix(checkpoint: Path, own: Tensors) -> Tensors:
    return {k: t for k, t in load_file(checkpoint).items() if k.startswith(UNET)}


def without_prefix(checkpoint: Path, own: Tensors) -> Tensors:
    return {k.removeprefix(UNET): t for k, t in with_prefix(checkpoint, own).items()}


def of_diffusers(checkpoint: Path, own: Tensors) -> Tensors:
    unet = {k: t for k, t in own.items() if k.startswith("unet.")}
    return {k.removeprefix("unet."): t.half() for k, t in unet.items()}


def compiled(checkpoint: Path, own: Tensors) -> Tensors:
    return {f"_orig_mod.{k}": t for k, t in without_prefix(checkpoint, own).items()}


def with_its_vae(checkpoint: Path, own: Tensors) -> Tensors:
    starts = (UNET, "first_stage_model.")
    return {k: t for k, t in load_file(checkpoint).items() if k.startswith(starts)}


FORMS = [with_prefix, without_prefix, of_diffusers, compiled, with_its_vae]


@pytest.fixture(params=FORMS, ids=lambda form: form.__name__)
def unet(
    request: pytest.FixtureRequest, tiny_checkpoint: Path, tiny_weights: Tensors, tmp_path: Path
) -> Path:
    """A file of a UNet that says nothing of itself, away from any tokenizer."""
    tensors = request.param(tiny_checkpoint, tiny_weights)
    save_file({k: t.contiguous() for k, t in tensors.items()}, tmp_path / "alone.safetensors")
    return tmp_path / "alone.safetensors"


def test_it_is_drawn_with_the_rest_of_another_model(
    unet: Path, lender: Path, tiny_weights: Tensors
) -> None:
    check_checkpoint(unet, parts_from=lender)
    model = open_float32(unet, parts_from=lender)
    other = weights(open_float32(lender))
    has_vae = any(key.startswith("first_stage") for key in load_file(unet))
    own = ("unet.", "vae.") if has_vae else ("unet.",)
    expected = {k: tiny_weights[k] if k.startswith(own) else t for k, t in other.items()}
    assert_same(weights(model), expected)
    (note,) = model.notes
    lent = "text encoders" if has_vae else "text encoders and VAE"
    assert f"alone.safetensors has no {lent}: tiny.safetensors's are used" in note
    assert model.source is not None
    assert {file.path for file in model.source.files()} == {unet, lender}
    assert model.pipeline.tokenizer("star").input_ids == (
        open_float32(lender).pipeline.tokenizer("star").input_ids
    )


def test_a_folder_lends_too(unet: Path, saved: Path, tiny_weights: Tensors) -> None:
    assert_same(weights(open_float32(unet, parts_from=saved)), tiny_weights)


def test_without_another_model_it_is_said_what_to_give(unet: Path) -> None:
    has_vae = any(key.startswith("first_stage") for key in load_file(unet))
    lacking = "text encoders" if has_vae else "text encoders and VAE"
    for function in (check_checkpoint, open_float32):
        with pytest.raises(CheckpointError) as caught:
            function(unet)
        assert f"whose {lacking} it is to use: --parts-from MODEL" in str(caught.value)
        assert str(caught.value).startswith("alone.safetensors: ")


def test_another_that_has_none_either_is_refused(unet: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no text encoders that another model could use"):
        open_float32(unet, parts_from=unet)


def test_what_is_no_model_lends_nothing(unet: Path, tmp_path: Path) -> None:
    save_file({"emb_params": torch.zeros(2, 8)}, tmp_path / "word.safetensors")
    with pytest.raises(CheckpointError, match=r"word\.safetensors: this is a textual inversion"):
        open_float32(unet, parts_from=tmp_path / "word.safetensors")


def test_a_vae_of_its_own_goes_before_the_lent_one(
    unet: Path, lender: Path, tiny_checkpoint: Path, tiny_weights: Tensors
) -> None:
    model = open_float32(unet, parts_from=lender, vae=tiny_checkpoint)
    expected = {k: t for k, t in tiny_weights.items() if k.startswith("vae.")}
    assert_same(weights(model, "vae"), expected)


def test_a_whole_model_takes_nothing_from_another(
    tiny_checkpoint: Path, lender: Path, tiny_weights: Tensors, tmp_path: Path
) -> None:
    """And is not hindered by one that cannot be opened."""
    for other in (lender, tmp_path / "gone.safetensors"):
        model = open_float32(tiny_checkpoint, parts_from=other)
        assert_same(weights(model), tiny_weights)
        assert model.notes == ()


@pytest.mark.parametrize("part", ["conditioner.embedders.0.", "conditioner.embedders.1."])
def test_a_single_text_encoder_that_is_missing_is_lent(
    tiny_checkpoint: Path, lender: Path, tiny_weights: Tensors, tmp_path: Path, part: str
) -> None:
    def drop(tensors: Tensors) -> None:
        for key in [key for key in tensors if key.startswith(part)]:
            del tensors[key]

    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, drop)
    name = "text_encoder" if ".0." in part else "text_encoder_2"
    with pytest.raises(CheckpointError, match=f"there is no {name.replace('_', ' ')} in it"):
        open_float32(path)
    other = weights(open_float32(lender))
    expected = {k: other[k] if k.startswith(f"{name}.") else t for k, t in tiny_weights.items()}
    assert_same(weights(open_float32(path, parts_from=lender)), expected)


def test_what_the_user_says_it_predicts_is_asked_of_nothing_else(
    tiny_checkpoint: Path, lender: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x-v-pred.safetensors"
    save_file(with_prefix(tiny_checkpoint, {}), path)
    told, said = (
        read_model(ModelChoice(path, parts_from=lender, prediction=prediction), half=True)
        for prediction in (None, "v")
    )
    assert any("--prediction" in note for note in told.notes)
    assert not any("--prediction" in note for note in said.notes)


def test_a_unet_that_is_not_sdxls_is_refused(
    tiny_checkpoint: Path, tiny_weights: Tensors, lender: Path, tmp_path: Path
) -> None:
    """SDXL alone is told the size of its pictures, by a network of its own (`label_emb`)."""
    tensors = with_prefix(tiny_checkpoint, tiny_weights)
    kept = {key: tensor for key, tensor in tensors.items() if "label_emb" not in key}
    save_file(kept, tmp_path / "alone.safetensors")
    with pytest.raises(CheckpointError, match="this is a UNet alone; open a whole checkpoint"):
        open_float32(tmp_path / "alone.safetensors", parts_from=lender)


def test_the_noise_is_the_unets_own(
    tiny_checkpoint: Path, tiny_weights: Tensors, saved: Path, tmp_path: Path
) -> None:
    """A model that predicts v lends its text encoders to a UNet that predicts noise."""
    lender = tmp_path / "lender"
    open_float32(saved, prediction="v-zsnr").pipeline.save_pretrained(lender)
    config = json.loads((lender / "scheduler" / "scheduler_config.json").read_text())
    assert config["prediction_type"] == "v_prediction"
    tensors = with_prefix(tiny_checkpoint, tiny_weights)
    save_file(tensors, tmp_path / "alone.safetensors")
    save_file({**tensors, "v_pred": torch.zeros(0)}, tmp_path / "marked.safetensors")
    for name, expected in (("alone", "epsilon"), ("marked", "v_prediction")):
        model = open_float32(tmp_path / f"{name}.safetensors", parts_from=lender)
        assert model.pipeline.scheduler.config.prediction_type == expected
