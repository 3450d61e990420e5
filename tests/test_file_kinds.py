"""Files that people put beside their LoRAs and models: each is called by its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.checkpoint import check_checkpoint
from engine.embeddings.file import read_inversion
from engine.errors import CheckpointError, FileFormatError, LoraRefusedError
from engine.files.header import Header, TensorInfo
from engine.lora.file import read_lora_header
from engine.lora.identify import identify
from tests.support.cases import entry

ATTN2 = "input_blocks.4.1.transformer_blocks.0.attn2.to_k"
LORA = ("lora_unet_input_blocks_4_1_proj_in.lora_down.weight",
        "lora_unet_input_blocks_4_1_proj_in.lora_up.weight")  # fmt: skip

KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Stability's control-LoRA": ("a control-LoRA", (
        "lora_controlnet", "input_hint_block.0.weight", f"{ATTN2}.up", f"{ATTN2}.down")),
    "control-LoRA beside LoRA tensors": ("a control-LoRA", ("lora_controlnet", *LORA)),
    "ControlNet of diffusers": ("a ControlNet", (
        "controlnet_cond_embedding.conv_in.weight", "controlnet_down_blocks.0.weight",
        "down_blocks.0.resnets.0.conv1.weight")),
    "ControlNet, original": ("a ControlNet", (
        "control_model.zero_convs.0.0.weight", "control_model.input_blocks.0.0.weight")),
    "ControlNet in a whole model": ("a ControlNet", (
        "control_model.input_hint_block.0.weight", "model.diffusion_model.out.2.bias",
        "cond_stage_model.transformer.text_model.final_layer_norm.bias")),
    "ControlNet without prefix": ("a ControlNet", (
        "input_hint_block.0.weight", "zero_convs.0.0.weight", "input_blocks.0.0.weight")),
    "ControlNet, LLLite": ("a ControlNet", (
        "lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.down.0.weight",
        "lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.up.0.weight")),
    "ControlNet for Flux": ("a ControlNet", (
        "controlnet_x_embedder.weight", "transformer_blocks.0.attn.to_q.weight",
        "controlnet_blocks.0.weight")),
    "IP-Adapter": ("an IP-Adapter", ("image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight")),
    "IP-Adapter FaceID": ("an IP-Adapter", (
        "image_proj.proj.0.weight", "ip_adapter.0.to_q_lora.down.weight",
        "ip_adapter.0.to_q_lora.up.weight", "ip_adapter.1.to_k_ip.weight")),
    "IP-Adapter for Flux": ("an IP-Adapter", (
        "double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight",
        "ip_adapter_proj_model.proj.weight")),
    "PuLID": ("a PuLID adapter", ("id_adapter.body.0.weight", "id_adapter_attn_layers.0.id_to_k")),
    "PhotoMaker": ("a PhotoMaker adapter", ("id_encoder.fuse_module.mlp1.fc1.weight", *LORA)),
    "T2I adapter": ("a T2I adapter", ("body.0.block1.weight", "body.0.in_conv.weight",
                                      "conv_in.weight")),
    "T2I adapter of diffusers": ("a T2I adapter", (
        "adapter.body.0.resnets.0.block1.weight", "adapter.conv_in.weight")),
    "motion module": ("an AnimateDiff motion module", (
        "down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight",)),
    "ESRGAN, old names": ("an upscaler", ("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight")),
    "ESRGAN": ("an upscaler", ("conv_first.weight", "body.0.rdb1.conv1.weight")),
    "SwinIR": ("an upscaler", (
        "layers.0.residual_group.blocks.0.attn.relative_position_bias_table", "conv_last.bias")),
    "Compact": ("an upscaler", ("body.0.weight", "body.1.weight", "body.2.bias")),
    "VAE": ("a VAE", ("encoder.conv_in.weight", "decoder.up.0.block.0.conv1.weight",
                      "quant_conv.weight", "loss.logvar")),
    "VAE of diffusers": ("a VAE", ("decoder.up_blocks.0.resnets.0.conv1.weight",)),
    "VAE of ComfyUI": ("a VAE", ("first_stage_model.decoder.conv_in.weight",)),
    "VAE of videos": ("a VAE", ("decoder.upsamples.0.residual.2.weight", "conv2.weight")),
    "TAESD": ("a small VAE for previews", ("1.weight", "3.conv.0.weight")),
    "CLIP-L": ("a text encoder (CLIP)", (
        "text_model.encoder.layers.0.mlp.fc1.weight",
        "text_model.embeddings.token_embedding.weight")),
    "CLIP-L, new names": ("a text encoder (CLIP)", (
        "encoder.layers.0.mlp.fc1.weight", "embeddings.token_embedding.weight")),
    "CLIP-G of OpenCLIP": ("a text encoder (CLIP)", (
        "transformer.resblocks.0.ln_1.weight", "token_embedding.weight", "text_projection")),
    "text encoders of a checkpoint": ("a text encoder (CLIP)", (
        "conditioner.embedders.0.transformer.text_model.final_layer_norm.bias",)),
    "T5": ("a text encoder (T5)", (
        "encoder.block.0.layer.0.SelfAttention.q.weight", "shared.weight")),
    "T5 of Wan": ("a text encoder (T5)", (
        "blocks.0.attn.q.weight", "blocks.0.ffn.fc1.weight",
        "blocks.0.pos_embedding.embedding.weight", "token_embedding.weight")),
    "Stable Cascade's VAE": ("a VAE of another model", (
        "up_blocks.0.0.weight", "in_block.1.weight", "vquantizer.codebook.weight")),
    "Qwen": ("a language model", ("model.layers.0.self_attn.q_proj.weight",
                                  "model.embed_tokens.weight")),
    "CLIP Vision": ("an image encoder", (
        "vision_model.encoder.layers.0.mlp.fc1.weight", "visual_projection.weight")),
    "embedding": ("a textual inversion", ("emb_params",)),
    "embedding for SDXL": ("a textual inversion", ("clip_l", "clip_g")),
    "hypernetwork": ("a hypernetwork", ("768.0.linear.0.weight", "768.1.linear.0.weight")),
    "detector": ("a detector", ("model.0.conv.weight", "model.22.dfl.conv.weight")),
}  # fmt: skip


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A file of each kind, and what it is called."""
    words, names = KINDS[request.param]
    path = tmp_path / "thing.safetensors"
    save_file({name: np.zeros((1, 2), np.float16) for name in names}, path)
    return path, f"this is {words}"


def lora_refusal(path: Path) -> str:
    with pytest.raises(LoraRefusedError) as caught:
        read_lora_header(path)
    return str(caught.value)


def model_refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        check_checkpoint(path)
    return str(caught.value)


def test_neither_a_lora_nor_a_model_nor_an_embedding(kind: tuple[Path, str]) -> None:
    path, words = kind
    for sentence in (lora_refusal(path), model_refusal(path), entry(path).error):
        assert sentence.startswith(f"thing.safetensors: {words}")
        assert "open it as" not in sentence
        assert "download" not in sentence
    if "inversion" not in words:
        with pytest.raises(FileFormatError, match=r"not a textual inversion\.$"):
            read_inversion(path)


def shaped(tensors: dict[str, tuple[int, ...]]) -> Header:
    return Header({key: TensorInfo("F16", shape, 0, 0) for key, shape in tensors.items()}, {}, 0, 0)


@pytest.mark.parametrize("name", ["<cat-toy>", "my style", "embedding"])
@pytest.mark.parametrize(("width", "kind"), [(768, "embedding"), (1280, "embedding"), (5, None)])
def test_the_only_tensor_of_diffusers_embeddings(name: str, width: int, kind: str | None) -> None:
    found = identify(shaped({name: (3, width)})).kind
    assert found == (kind or "unknown")


@pytest.mark.parametrize(
    ("prefix", "name"),
    [("", "double_blocks.0.processor.qkv_lora1.down.weight"),
     ("", "double_blocks.0.processor.proj_lora2.up.weight"),
     ("diffusion_model.", "double_blocks.3.processor.qkv_lora1.up.weight")],
)  # fmt: skip
def test_a_lora_of_another_family_under_bare_names(tmp_path: Path, prefix: str, name: str) -> None:
    path = tmp_path / "x.safetensors"
    save_file({prefix + name: np.zeros((4, 3072), np.float16)}, path)
    assert "this LoRA is for Flux" in lora_refusal(path)
    assert "this is a LoRA" in model_refusal(path)
    assert "LoRA is for Flux" in entry(path).error


@pytest.mark.parametrize(
    ("name", "words"),
    [("to_q.vera_lambda_b", "a VeRA adapter (PEFT)"),
     ("to_k.weight::lora::0", "a LayerDiffuse patch (for transparent pictures)"),
     ("to_k.weight::diff::0", "a LayerDiffuse patch (for transparent pictures)"),
     ("processor.to_k_custom_diffusion.weight", "a set of Custom Diffusion weights"),
     ("to_q.fourierft_spectrum", "a FourierFT adapter (PEFT)"),
     ("to_q.miss_block", "a MiSS adapter (PEFT)"),
     ("to_q.glora_A.Xd", "a GLoRA adapter in PEFT's form"),
     ("norm1.ln_tuning_layers.weight", "a set of trained layer norms (PEFT)"),
     ("token_embedding.trainable_tokens_delta", "a set of trained tokens (PEFT)")],
)  # fmt: skip
@pytest.mark.parametrize("prefix", ["unet.", "base_model.model.", "text_encoder.", ""])
def test_adapters_of_peft_that_are_not_merged_are_called_by_their_names(
    tmp_path: Path, prefix: str, name: str, words: str
) -> None:
    path = tmp_path / "x.safetensors"
    key = f"{prefix}down_blocks.1.attentions.0.transformer_blocks.0.attn1.{name}"
    save_file({key: np.zeros(4, np.float16)}, path)
    assert f"this is {words}: none of its tensors" in lora_refusal(path)
    assert f"this is {words}" in entry(path).error
    assert "this is a LoRA" in model_refusal(path)


def test_a_lora_of_unknown_names_is_still_a_lora(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"proj.loraDown": np.zeros((4, 4), np.float16)}, path)
    assert "this is a LoRA in a form that is not known here" in lora_refusal(path)
    assert "proj.loraDown" in lora_refusal(path)


WRAPPED = ("{}", "module.{}", "_orig_mod.{}", "state_dict.{}")


@pytest.mark.parametrize("form", WRAPPED)
@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("model.diffusion_model.out.2.bias", "conditioner.embedders.1.model.ln_final.bias"),
         "checkpoint"),
        (("model.diffusion_model.out.2.bias",), "unet"),
        (("model.diffusion_model.out.2.bias", "first_stage_model.decoder.conv_in.bias"), "unet"),
        (("model.diffusion_model.double_blocks.0.img_attn.qkv.weight",), "checkpoint"),
        (("double_blocks.0.img_attn.qkv.weight",), "checkpoint"),
        (("input_blocks.0.0.weight",), "unet"),
        (("down_blocks.0.resnets.0.conv1.weight", "conv_in.weight"), "unet"),
        (("unet.conv_in.weight", "vae.decoder.conv_in.weight", "text_encoder.x"), "checkpoint"),
        (("first_stage_model.decoder.conv_in.weight",), "vae"),
        (("clip_l.transformer.text_model.final_layer_norm.bias",), "text encoder"),
    ],
)  # fmt: skip
def test_models_and_their_parts(form: str, names: tuple[str, ...], kind: str) -> None:
    header = shaped({form.format(name): (4, 4) for name in names})
    assert identify(header).kind == kind
