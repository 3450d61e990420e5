"""Distilled SDXL (SSD-1B, Vega, Koala and the like): the layers that a file has are the model's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

from engine.checkpoint.config import METADATA_KEY, checkpoint_config, sdxl_config
from engine.checkpoint.unet_layers import UNetLayers
from engine.checkpoint.write import original_tensors
from engine.errors import CheckpointError
from engine.files.header import read_header
from engine.protocol.refs import LoraRef
from engine.switch.switcher import LoraSwitcher
from tests.checkpoint.conftest import assert_same, open_float32, weights
from tests.support.tiny_checkpoint import rewrite_checkpoint

Tensors = dict[str, torch.Tensor]
UNET = "model.diffusion_model."
PLAIN, CROSS = "DownBlock2D", "CrossAttnDownBlock2D"
UP, CROSS_UP = "UpBlock2D", "CrossAttnUpBlock2D"
MIDDLE_ALONE = "UNetMidBlock2D"

SHAPES: dict[str, dict[str, Any]] = {
    "SSD-1B": {
        "transformer_layers_per_block": [1, [2, 2], [4, 4]],
        "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], 1],
        "mid_block_type": MIDDLE_ALONE,
    },
    "Segmind Vega": {"transformer_layers_per_block": [1, 1, 2], "mid_block_type": MIDDLE_ALONE},
    "KOALA 700M": {
        "transformer_layers_per_block": [1, 2, 5], "layers_per_block": 1, "mid_block_type": None,
    },
    "KOALA 1B": {"transformer_layers_per_block": [1, 2, 6], "layers_per_block": [1, 1, 1]},
    "": {
        "transformer_layers_per_block": [1, [1, 3], [2, 1]],
        "reverse_transformer_layers_per_block": [[1, 2, 1], [3, 1, 2], 1],
    },
    "attention in the last blocks alone": {
        "down_block_types": [PLAIN, PLAIN, CROSS], "up_block_types": [CROSS_UP, UP, UP],
        "transformer_layers_per_block": [1, 1, 3],
    },
    "deeper than SDXL": {"transformer_layers_per_block": [1, 3, 12]},
}  # fmt: skip
"""diffusers' own settings for each; the names are those of models that have such layers."""


def distilled_unet(tiny_checkpoint: Path, shape: str) -> UNet2DConditionModel:
    """A UNet of the tiny model's widths that diffusers makes of these settings."""
    config = checkpoint_config("tiny", read_header(tiny_checkpoint))["unet"]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return UNet2DConditionModel.from_config({**config, **SHAPES[shape]}).half().eval()


def with_unet(tiny_checkpoint: Path, folder: Path, tensors: Tensors) -> Path:
    """The tiny checkpoint with these tensors in place of its UNet's."""

    def change(table: Tensors) -> None:
        for key in [key for key in table if key.startswith(UNET)]:
            del table[key]
        table.update(tensors)

    return rewrite_checkpoint(tiny_checkpoint, folder, change)


def in_original_layout(unet: UNet2DConditionModel) -> Tensors:
    return original_tensors({"unet": unet})


def in_diffusers_layout(unet: UNet2DConditionModel) -> Tensors:
    return {f"unet.{name}": p.detach().clone() for name, p in unet.named_parameters()}


def run(unet: UNet2DConditionModel) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 4, 8, 8, generator=generator)
    states = torch.randn(1, 77, 24, generator=generator)
    added = {
        "text_embeds": torch.randn(1, 16, generator=generator),
        "time_ids": torch.arange(6.0)[None],
    }
    with torch.no_grad():
        return unet.float()(latents, 500, states, added_cond_kwargs=added).sample


def assert_draws_alike(found: UNet2DConditionModel, expected: UNet2DConditionModel) -> None:
    torch.testing.assert_close(run(found), run(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("write", [in_original_layout, in_diffusers_layout])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_distilled_model_opens_with_the_layers_it_has(
    tiny_checkpoint: Path,
    tmp_path: Path,
    shape: str,
    write: Callable[[UNet2DConditionModel], Tensors],
) -> None:
    unet = distilled_unet(tiny_checkpoint, shape)
    path = with_unet(tiny_checkpoint, tmp_path, write(unet))
    model = open_float32(path)
    expected = {f"unet.{name}": p.detach().float() for name, p in unet.named_parameters()}
    assert_same(weights(model, "unet"), expected)
    assert_draws_alike(model.pipeline.unet, unet)
    (note,) = model.notes
    if shape == "deeper than SDXL":
        assert "more layers than SDXL" in note
    else:
        assert "a distilled SDXL with fewer layers" in note
        assert shape in note or shape.startswith("attention")


@pytest.mark.parametrize("shape", SHAPES)
def test_from_a_folder_too(tiny_checkpoint: Path, folder: Path, shape: str, tmp_path: Path) -> None:
    """Where diffusers' configuration says so, and where only the weights do."""
    unet = distilled_unet(tiny_checkpoint, shape).float()
    old_config = (folder / "unet/config.json").read_text()
    unet.save_pretrained(folder / "unet")
    assert_draws_alike(open_float32(folder).pipeline.unet, unet)
    (folder / "unet/config.json").write_text(old_config)
    assert_draws_alike(open_float32(folder).pipeline.unet, unet)


@pytest.mark.parametrize("write", [in_original_layout, in_diffusers_layout])
def test_a_latent_consistency_model_takes_the_guidance_as_an_input(
    tiny_checkpoint: Path, tmp_path: Path, write: Callable[[UNet2DConditionModel], Tensors]
) -> None:
    config = checkpoint_config("tiny", read_header(tiny_checkpoint))["unet"]
    with torch.random.fork_rng():
        torch.manual_seed(7)
        unet = UNet2DConditionModel.from_config({**config, "time_cond_proj_dim": 12}).half().eval()
    model = open_float32(with_unet(tiny_checkpoint, tmp_path, write(unet)))
    expected = {f"unet.{name}": p.detach().float() for name, p in unet.named_parameters()}
    assert "unet.time_embedding.cond_proj.weight" in expected
    assert_same(weights(model, "unet"), expected)
    assert model.pipeline.unet.config.time_cond_proj_dim == 12
    assert model.notes == ()


def test_a_folder_of_a_known_distilled_model_is_named(tiny_checkpoint: Path, folder: Path) -> None:
    distilled_unet(tiny_checkpoint, "SSD-1B").save_pretrained(folder / "unet")
    (note,) = open_float32(folder).notes
    assert "SSD-1B" in note


def test_what_is_opened_can_be_saved_and_opened_by_diffusers(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    unet = distilled_unet(tiny_checkpoint, "SSD-1B")
    path = with_unet(tiny_checkpoint, tmp_path / "model", in_original_layout(unet))
    open_float32(path).pipeline.unet.save_pretrained(tmp_path / "saved")
    theirs = UNet2DConditionModel.from_pretrained(tmp_path / "saved", local_files_only=True)
    assert_draws_alike(theirs, unet)


def without(*parts: str) -> Callable[[Tensors], None]:
    def cut(tensors: Tensors) -> None:
        for key in [key for key in tensors if key.startswith(UNET)]:
            if any(key.removeprefix(UNET).startswith(part) for part in parts):
                del tensors[key]

    return cut


@pytest.mark.parametrize(
    "parts",
    [
        ("middle_block.1.",),
        ("middle_block.0.",),
        ("input_blocks.8.",),
        ("input_blocks.2.",),
        ("output_blocks.8.",),
        ("output_blocks.2.1.",),
        ("input_blocks.7.1.",),
        ("input_blocks.7.", "input_blocks.8."),
        ("output_blocks.",),
    ],
)
def test_layers_that_no_unet_can_be_made_of_are_called_what_they_are(
    tiny_checkpoint: Path, tmp_path: Path, parts: tuple[str, ...]
) -> None:
    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, without(*parts))
    with pytest.raises(CheckpointError) as caught:
        open_float32(path)
    assert "download" not in str(caught.value)
    assert "distilled SDXL with fewer layers" in str(caught.value) or parts == ("output_blocks.",)


@pytest.mark.parametrize(
    ("parts", "middle"),
    [
        (("middle_block.",), None),
        (("middle_block.1.", "middle_block.2."), MIDDLE_ALONE),
    ],
)
def test_a_middle_with_less(
    tiny_checkpoint: Path, tmp_path: Path, parts: tuple[str, ...], middle: str | None
) -> None:
    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, without(*parts))
    unet = open_float32(path).pipeline.unet
    assert unet.config.mid_block_type == middle
    assert not getattr(unet.mid_block, "attentions", None)
    assert run(unet).isfinite().all()


@pytest.mark.parametrize("name", ["out.2.bias", "input_blocks.7.1.transformer_blocks.0.norm1.bias"])
def test_a_tensor_missing_within_a_layer_is_named(
    tiny_checkpoint: Path, tmp_path: Path, name: str
) -> None:
    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, without(name))
    with pytest.raises(CheckpointError, match=rf"{UNET}{name} is missing") as caught:
        open_float32(path)
    assert "download" not in str(caught.value)


def test_the_layers_of_sdxl_and_of_its_tiny_copy(tiny_checkpoint: Path) -> None:
    assert UNetLayers.of_config(sdxl_config()["unet"]) == UNetLayers(
        ((0, 0), (2, 2), (10, 10)), 2, 10, ((10, 10, 10), (2, 2, 2), (0, 0, 0))
    )
    assert open_float32(tiny_checkpoint).notes == ()


def kohya(name: str, unet: UNet2DConditionModel, path: str) -> Tensors:
    rows, columns = unet.get_submodule(path).weight.shape
    return {
        f"lora_unet_{name}.lora_down.weight": torch.ones(1, columns),
        f"lora_unet_{name}.lora_up.weight": torch.ones(rows, 1),
    }


def test_a_lora_changes_the_layers_that_are_there_and_the_rest_is_counted(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """With the numbers that the original layout gives blocks in a UNet of fewer layers."""
    unet = distilled_unet(tiny_checkpoint, "KOALA 700M")
    path = with_unet(tiny_checkpoint, tmp_path / "model", in_original_layout(unet))
    model = open_float32(path)
    inner = "transformer_blocks.0.attn1.to_q"
    flat = inner.replace(".", "_")
    targets = {
        f"input_blocks_5_1_{flat}": f"down_blocks.2.attentions.0.{inner}",
        f"output_blocks_3_1_{flat}": f"up_blocks.1.attentions.1.{inner}",
        f"down_blocks_1_attentions_0_{flat}": f"down_blocks.1.attentions.0.{inner}",
    }
    lora: Tensors = {}
    for name, target in targets.items():
        lora |= kohya(name, unet, target)
    for name in (f"middle_block_1_{flat}", f"down_blocks_2_attentions_1_{flat}"):
        lora |= kohya(name, unet, f"down_blocks.2.attentions.0.{inner}")
    save_file(lora, tmp_path / "lora.safetensors")
    before = {name: p.clone() for name, p in model.pipeline.unet.named_parameters()}
    switcher = LoraSwitcher(model.pipeline.unet, model.pipeline.text_encoder)
    (report,) = switcher.apply([LoraRef(tmp_path / "lora.safetensors")]).loras
    changed = {
        name
        for name, p in model.pipeline.unet.named_parameters()
        if not torch.equal(p, before[name])
    }
    assert changed == {f"{target}.weight" for target in targets.values()}
    assert report.matched == 3
    assert any("2 of 5 modules are not in the model" in words for words in report.warnings)


def test_the_files_own_configuration_stays_in_force(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """A file that says of itself what it has is no distilled one: it is said to be so."""
    unet = distilled_unet(tiny_checkpoint, "KOALA 1B")
    own = json.loads(read_header(tiny_checkpoint).metadata[METADATA_KEY])
    own["unet"] |= {"layers_per_block": 1, "transformer_layers_per_block": [1, 2, 6]}
    path = with_unet(tiny_checkpoint, tmp_path / "a", in_original_layout(unet))
    path = rewrite_checkpoint(
        path, tmp_path / "b", lambda tensors: None, **{METADATA_KEY: json.dumps(own)}
    )
    assert_draws_alike(open_float32(path).pipeline.unet, unet)
