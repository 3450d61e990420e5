"""Files that are no SDXL checkpoint: each is named for what it is, with a way out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from engine.checkpoint import check_checkpoint
from engine.checkpoint.kinds import require_sdxl
from engine.errors import CheckpointError, FileFormatError
from engine.files.header import Header, TensorInfo
from tests.checkpoint.conftest import assert_same, open_float32, weights
from tests.support.tiny_checkpoint import rewrite_checkpoint

Tensors = dict[str, torch.Tensor]

UNET = "model.diffusion_model."

KEYS = {
    "LoRA": ["lora_unet_x.lora_down.weight", "lora_unet_x.lora_up.weight"],
    "LoRA of diffusers": ["unet.x.lora_A.weight", "unet.x.lora_B.weight"],
    "LoHa": ["lora_unet_x.hada_w1_a", "lora_unet_x.hada_w1_b"],
    "Flux, one file": [f"{UNET}double_blocks.0.img_attn.qkv.weight"],
    "Flux, transformer alone": ["double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1"],
    "SD 3": [f"{UNET}joint_blocks.0.context_block.attn.qkv.weight"],
    "SD 1": [f"{UNET}out.0.weight", "cond_stage_model.transformer.text_model.x"],
    "SD 2": [f"{UNET}out.0.weight", "cond_stage_model.model.transformer.x"],
    "refiner": [f"{UNET}out.0.weight", "conditioner.embedders.0.model.ln_final.weight"],
    "UNet of a checkpoint": [f"{UNET}out.0.weight", f"{UNET}label_emb.0.0.weight"],
    "UNet of diffusers": ["down_blocks.0.resnets.0.conv1.weight", "conv_in.weight"],
    "VAE": ["decoder.up.0.block.0.conv1.weight", "encoder.conv_in.weight"],
    "VAE with its prefix": ["first_stage_model.decoder.up.0.block.0.conv1.weight"],
    "VAE of diffusers": ["decoder.up_blocks.0.resnets.0.conv1.weight"],
    "embedding for SDXL": ["clip_g", "clip_l"],
    "embedding": ["emb_params"],
    "SD 3 with both CLIPs": [
        f"{UNET}joint_blocks.0.context_block.attn.qkv.weight",
        "text_encoders.clip_l.transformer.text_model.final_layer_norm.bias",
        "text_encoders.clip_g.transformer.text_model.final_layer_norm.bias",
        "text_encoders.t5xxl.transformer.encoder.final_layer_norm.weight",
        "first_stage_model.decoder.conv_in.weight",
    ],
    "HiDream with both CLIPs": [
        f"{UNET}double_stream_blocks.0.block.attn1.to_q.weight",
        "text_encoders.clip_l.transformer.text_model.final_layer_norm.bias",
        "text_encoders.clip_g.transformer.text_model.final_layer_norm.bias",
    ],
    "Kandinsky 5": ["visual_transformer_blocks.0.self_attention.to_query.weight"],
    "DeepFloyd IF": ["down_blocks.1.attentions.0.add_k_proj.weight", "encoder_hid_proj.weight"],
    "averages alone": ["model_ema.diffusion_modelinput_blocks00weight", "model_ema.decay"],
    "averages beside the rest": [
        "model_ema.diffusion_modelinput_blocks00weight",
        "conditioner.embedders.0.transformer.text_model.final_layer_norm.bias",
        "conditioner.embedders.1.model.ln_final.bias",
        "first_stage_model.decoder.conv_in.weight",
    ],
    "packed numbers": [
        "add_embedding.linear_1.weight",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_qkv.qweight",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_qkv.wscales",
    ],
    "anything": ["something.weight"],
    "nothing": [],
}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("LoRA", "this is a LoRA, not a model"),
        ("LoRA of diffusers", "this is a LoRA"),
        ("LoHa", "this is a LoRA"),
        ("Flux, one file", "another family, Flux"),
        ("Flux, transformer alone", "another family, Flux"),
        ("SD 3", "another family, SD 3"),
        ("SD 1", "another family, SD 1.5"),
        ("SD 2", "another family, SD 2"),
        ("refiner", "SDXL refiner.*open the base model"),
        ("UNet of a checkpoint", "this is a UNet alone"),
        ("UNet of diffusers", "this is a UNet alone"),
        ("VAE", "this is a VAE, not a model"),
        ("VAE with its prefix", "this is a VAE, not a model"),
        ("VAE of diffusers", "this is a VAE, not a model"),
        ("embedding for SDXL", r"this is a textual inversion \(an embedding\)"),
        ("embedding", "this is a textual inversion"),
        ("SD 3 with both CLIPs", "another family, SD 3"),
        ("HiDream with both CLIPs", "another family, HiDream"),
        ("Kandinsky 5", "another family, Kandinsky"),
        ("DeepFloyd IF", "another family, DeepFloyd IF"),
        ("averages alone", r"averages of the training alone \(EMA"),
        ("averages beside the rest", r"averages of the training alone \(EMA"),
        ("packed numbers", r"weights are packed .*attn1\.to_qkv\.qweight.* quantised"),
        ("anything", "no SDXL checkpoint"),
        ("nothing", "no SDXL checkpoint"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, kind: str, words: str) -> None:
    path = tmp_path / "file.safetensors"
    save_file({key: torch.zeros(1) for key in KEYS[kind]}, path)
    for function in (check_checkpoint, open_float32):
        with pytest.raises(CheckpointError, match=rf"^file\.safetensors: .*{words}"):
            function(path)


OTHER_UNETS: dict[str, dict[str, object]] = {
    "SD 1.5": {"cross_attention_dim": 768},
    "SD 2": {"cross_attention_dim": 1024, "use_linear_projection": True},
    "SDXL refiner": {
        "block_out_channels": [384, 768, 1536, 1536],
        "down_block_types": ["DownBlock2D", *["CrossAttnDownBlock2D"] * 2, "DownBlock2D"],
        "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 2, "UpBlock2D"],
        "transformer_layers_per_block": 4,
        "attention_head_dim": [6, 12, 24, 24],
        "cross_attention_dim": 1280,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2560,
    },
}


@pytest.mark.parametrize("prefix", ["", UNET, "unet.", "_orig_mod.", "module."])
@pytest.mark.parametrize("kind", OTHER_UNETS)
def test_unets_of_other_models_in_their_real_size(kind: str, prefix: str) -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(**OTHER_UNETS[kind])
    tensors = {
        prefix + name: TensorInfo("F16", tuple(parameter.shape), 0, 0)
        for name, parameter in unet.named_parameters()
    }
    with pytest.raises(CheckpointError, match=kind):
        require_sdxl("file.safetensors", Header(tensors, {}, 0, 0))


@pytest.mark.parametrize(("channels", "words"), [(9, "an inpainting"), (8, "an image-editing")])
def test_unets_with_more_inputs(
    tiny_checkpoint: Path, tmp_path: Path, channels: int, words: str
) -> None:
    def widen(tensors: Tensors) -> None:
        key = f"{UNET}input_blocks.0.0.weight"
        out, _, height, width = tensors[key].shape
        tensors[key] = torch.zeros(out, channels, height, width)

    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, widen)
    for function in (check_checkpoint, open_float32):
        with pytest.raises(CheckpointError, match=f"this is {words} checkpoint"):
            function(path)


@pytest.mark.parametrize("marker", ["edm_mean", "edm_vpred.sigma_max"])
def test_models_sampled_otherwise(tiny_checkpoint: Path, tmp_path: Path, marker: str) -> None:
    path = rewrite_checkpoint(
        tiny_checkpoint, tmp_path, lambda tensors: tensors.update({marker: torch.zeros(4)})
    )
    for function in (check_checkpoint, open_float32):
        with pytest.raises(CheckpointError, match="EDM sampling"):
            function(path)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", ["model.ckpt", "model.safetensors"])
def test_a_pickle_is_refused_and_the_way_to_convert_it_works(
    tiny_checkpoint: Path, tiny_weights: Tensors, tmp_path: Path, name: str, legacy: bool
) -> None:
    path = tmp_path / name
    torch.save(
        {"state_dict": load_file(tiny_checkpoint), "global_step": 9},
        path,
        _use_new_zipfile_serialization=not legacy,
    )
    for function in (check_checkpoint, open_float32):
        with pytest.raises(FileFormatError, match=r"pickle.*\.ckpt.*weights_only=True.*save_file"):
            function(path)
    table = torch.load(path.rename(tmp_path / "named.ckpt"), weights_only=True)["state_dict"]

    def convert(tensors: Tensors) -> None:
        tensors.clear()
        tensors.update(table)

    converted = rewrite_checkpoint(tiny_checkpoint, tmp_path, convert, "converted.safetensors")
    assert_same(weights(open_float32(converted)), tiny_weights)


@pytest.mark.parametrize("kept", [0, 4, 500, -1])
def test_a_truncated_file(tiny_checkpoint: Path, tmp_path: Path, kept: int) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(tiny_checkpoint.read_bytes()[:kept])
    for function in (check_checkpoint, open_float32):
        with pytest.raises(FileFormatError, match=r"model\.safetensors: truncated.*download"):
            function(path)
