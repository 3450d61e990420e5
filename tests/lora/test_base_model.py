"""For which base model a LoRA is, by real names and widths and by what its metadata says."""

from __future__ import annotations

from typing import Any

import diffusers
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from engine.checkpoint.outline import outline_of
from engine.files.header import Header, TensorInfo
from engine.lora.base_model import Base, base_of_file, family_called, variant_called
from engine.lora.key_names import group_modules

Shapes = dict[str, tuple[int, ...]]

TO_Q = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"
"""640 wide in SD 1.5, SD 2 and SDXL alike."""


def lora(*modules: tuple[str, int], rank: int = 8) -> Shapes:
    shapes: Shapes = {}
    for name, width in modules:
        shapes[f"{name}.lora_down.weight"] = (rank, width)
        shapes[f"{name}.lora_up.weight"] = (640, rank)
    return shapes


def base_of(shapes: Shapes, **metadata: str) -> Base:
    tensors = {key: TensorInfo("F16", shape, 0, 0) for key, shape in shapes.items()}
    header = Header(tensors, {key.replace("__", "."): v for key, v in metadata.items()}, 0, 0)
    return base_of_file(header, group_modules(tensors))


DIFFUSERS: list[tuple[str, dict[str, Any], str]] = [
    ("FluxTransformer2DModel", {"num_layers": 2, "num_single_layers": 2}, "Flux"),
    ("Flux2Transformer2DModel", {"num_layers": 2, "num_single_layers": 2}, "Flux 2"),
    ("Flux2Transformer2DModel",
     {"num_layers": 2, "num_single_layers": 2, "num_attention_heads": 24}, "Flux 2"),
    ("ChromaTransformer2DModel", {"num_layers": 2, "num_single_layers": 2}, "Chroma"),
    ("AuraFlowTransformer2DModel", {"num_mmdit_layers": 2, "num_single_dit_layers": 2}, "AuraFlow"),
    ("SD3Transformer2DModel",
     {"num_layers": 2, "num_attention_heads": 24, "caption_projection_dim": 1536}, "SD 3"),
    ("SD3Transformer2DModel",
     {"num_layers": 2, "num_attention_heads": 38, "caption_projection_dim": 2432}, "SD 3.5"),
    ("QwenImageTransformer2DModel", {"num_layers": 2}, "Qwen-Image"),
    ("HunyuanVideoTransformer3DModel",
     {"num_layers": 2, "num_single_layers": 2, "num_refiner_layers": 1}, "HunyuanVideo"),
    ("HunyuanImageTransformer2DModel", {"num_layers": 2, "num_single_layers": 2}, "HunyuanImage"),
    ("WanTransformer3DModel", {"num_layers": 2}, "Wan"),
    ("ZImageTransformer2DModel", {"n_layers": 2}, "Z-Image"),
    ("Lumina2Transformer2DModel", {"num_layers": 2}, "Lumina 2"),
    ("CosmosTransformer3DModel", {"num_layers": 2}, "Cosmos"),
    ("PixArtTransformer2DModel", {"num_layers": 2}, "PixArt"),
    ("SanaTransformer2DModel", {"num_layers": 2}, "Sana"),
    ("LTXVideoTransformer3DModel", {"num_layers": 2}, "LTX"),
    ("LTX2VideoTransformer3DModel", {"num_layers": 2}, "LTX 2"),
    ("MochiTransformer3DModel", {"num_layers": 2}, "Mochi"),
    ("CogVideoXTransformer3DModel", {"num_layers": 2}, "CogVideoX"),
    ("CogView4Transformer2DModel", {"num_layers": 2}, "CogView"),
    ("HiDreamImageTransformer2DModel",
     {"num_layers": 2, "num_single_layers": 2, "caption_channels": (64, 64), "in_channels": 16,
      "patch_size": 2, "num_routed_experts": 1, "num_activated_experts": 1}, "HiDream"),
    ("HunyuanDiT2DModel",
     {"num_layers": 2, "num_attention_heads": 16, "attention_head_dim": 88, "in_channels": 4,
      "patch_size": 2, "sample_size": 32}, "HunyuanDiT"),
    ("StableCascadeUNet",
     {"block_out_channels": (64, 64), "down_num_layers_per_block": (1, 1),
      "up_num_layers_per_block": (1, 1), "num_attention_heads": (1, 1)}, "Stable Cascade"),
    ("UNetSpatioTemporalConditionModel", {"transformer_layers_per_block": 1}, "SVD"),
]  # fmt: skip
"""Networks with few layers and their real widths, and the family that they are of."""

SPELLINGS = {
    "diffusers": "transformer.{dotted}.lora_A.weight",
    "comfy": "diffusion_model.{dotted}.lora_A.weight",
    "bare": "{dotted}.lora_A.weight",
    "peft": "base_model.model.{dotted}.lora_A.weight",
    "kohya": "lora_unet_{flat}.lora_down.weight",
    "one trainer": "lora_transformer_{flat}.lora_down.weight",
}


@pytest.mark.parametrize(("network", "settings", "family"), DIFFUSERS, ids=lambda v: str(v)[:34])
def test_networks_of_diffusers_in_every_spelling(
    network: str, settings: dict[str, Any], family: str
) -> None:
    with torch.device("meta"):
        module = getattr(diffusers, network)(**settings)
    layers = {
        path: layer.in_features
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Linear)
    }
    for spelling, form in SPELLINGS.items():
        shapes: Shapes = {}
        for path, width in layers.items():
            down = form.format(dotted=path, flat=path.replace(".", "_"))
            up = down.replace("lora_A", "lora_B").replace("lora_down", "lora_up")
            shapes |= {down: (4, width), up: (8, 4)}
        found = base_of(shapes)
        assert found.name == family, (spelling, found)
        assert found.evidence


@pytest.mark.parametrize(
    ("modules", "family"),
    [
        # sd-scripts, musubi-tuner
        ([("lora_unet_double_blocks_0_img_mod_lin", 3072)], "Flux"),
        ([("lora_unet_single_blocks_3_modulation_lin", 3072)], "Flux"),
        ([("lora_unet_double_blocks_0_img_mlp_0", 3072)], "Flux or Chroma"),
        ([("lora_unet_double_blocks_0_img_attn_qkv", 3072)], "Flux, Chroma or HunyuanVideo"),
        ([("lora_unet_distilled_guidance_layer_layers_0_in_layer", 5120),
          ("lora_unet_single_blocks_0_linear1", 3072)], "Chroma"),
        ([("lora_unet_double_blocks_0_img_mlp_fc1", 3072)], "HunyuanVideo"),
        ([("lora_unet_single_blocks_39_linear1", 3072)], "HunyuanVideo"),
        ([("lora_unet_txt_in_individual_token_refiner_blocks_0_self_attn_qkv", 3072)],
         "HunyuanVideo"),
        ([("lora_unet_double_blocks_0_img_attn_qkv", 3584)], "HunyuanImage"),
        ([("lora_unet_double_blocks_0_img_attn_qkv", 6144)], "Flux 2"),
        ([("lora_unet_single_blocks_0_linear2", 12288)], "Flux 2"),
        ([("lora_unet_joint_blocks_3_context_block_attn_qkv", 1536)], "SD 3"),
        ([("lora_unet_joint_blocks_3_context_block_attn_qkv", 2432)], "SD 3.5"),
        ([("lora_unet_joint_blocks_3_x_block_attn2_qkv", 1536)], "SD 3.5"),
        ([("lora_unet_blocks_0_cross_attn_k", 5120)], "Wan"),
        ([("lora_unet_blocks_0_self_attn_o", 1536)], "Wan"),
        ([("lora_unet_blocks_0_cross_attn_q_proj", 2048)], "Anima or Cosmos"),
        ([("lora_unet_llm_adapter_blocks_0_cross_attn_q_proj", 1024)], "Anima"),
        ([("lora_unet_layers_0_attention_qkv", 2304)], "Lumina 2"),
        ([("lora_unet_layers_0_attention_qkv", 3840)], "Z-Image"),
        ([("lora_unet_transformer_blocks_0_img_mlp_net_0_proj", 3072)], "Qwen-Image"),
        ([("lora_unet_blocks_0_attn1_Wqkv", 1408)], "HunyuanDiT"),
        # ComfyUI's and the original names
        ([("diffusion_model.double_layers.0.attn.w1q", 3072)], "AuraFlow"),
        ([("diffusion_model.double_blocks.0.img_attn_qkv", 3072)], "HunyuanVideo"),
        ([("diffusion_model.blocks.0.cross_attn.q_linear", 1152)], "PixArt"),
        ([("diffusion_model.blocks.0.attn.qkv_x", 3072)], "Mochi"),
        ([("diffusion_model.layers.0.attention.qkv", 3840)], "Z-Image"),
        ([("diffusion_model.blocks.0.adaln_modulation_mlp.1", 2048)], "Anima or Cosmos"),
        ([("transformer.layers.0.attention.query_key_value", 3072)], "CogVideoX"),
        ([("transformer.transformer_blocks.59.attn.to_q", 3072)], "Qwen-Image"),
        # XLabs'
        ([("double_blocks.0.processor.qkv", 3072)], "Flux"),
        # Networks with a UNet that is not Stable Diffusion's
        ([("lora_unet_down_blocks_0_motion_modules_0_proj_in", 320)], "AnimateDiff"),
        ([("unet.down_blocks.0.attentions.0.temporal_transformer_blocks.0.ff_in.net.2", 1280)],
         "SVD"),
        ([("lora_unet_add_embedding_linear_1", 5632)], "Kolors"),
        ([("lora_prior_unet_down_blocks_0_2_attention_to_q", 2048)], "Stable Cascade"),
        # Text encoders alone
        ([("lora_te1_text_model_encoder_layers_0_mlp_fc1", 768),
          ("lora_te3_encoder_block_0_layer_0_SelfAttention_k", 4096)], "SD 3"),
        ([("lora_te2_encoder_block_0_layer_0_SelfAttention_k", 4096)],
         "a model with a T5 text encoder"),
        ([("lora_te_layers_0_self_attn_q_proj", 2560)],
         "a model with a language model for its texts"),
        ([("text_encoder.encoder.layers.0.self_attention.query_key_value", 4096)], "Kolors"),
        ([("lora_te1_encoder_layer_0_attention_self_query", 1024)], "HunyuanDiT"),
        ([("lora_prior_te_text_model_encoder_layers_0_mlp_fc1", 1280)], "Stable Cascade"),
        # What no row names, and layers around the blocks alone
        ([("transformer.x_embedder", 64)], "a diffusion transformer"),
        ([("img_in", 128)], "a diffusion transformer"),
        ([("diffusion_model.head.head", 5120)], "a diffusion transformer"),
        ([("transformer.proj_out", 3072)], "a diffusion transformer"),
        ([("lora_unet_final_layer_linear", 3072)], "a diffusion transformer"),
        ([("lora_unet_layers_0_adaLN_modulation_0", 256)], "a diffusion transformer"),
        ([("transformer.time_text_embed.timestep_embedder.linear_1", 256)],
         "a diffusion transformer"),
        ([("transformer.transformer_blocks.5.attn1.to_k", 777)], "a diffusion transformer"),
        ([("something_else", 777)], ""),
    ],
)  # fmt: skip
def test_names_of_other_programs(modules: list[tuple[str, int]], family: str) -> None:
    assert base_of(lora(*modules)).name == family


ATTENTION = "attentions_0_transformer_blocks_0_attn"


@pytest.mark.parametrize(
    ("modules", "base", "evidence"),
    [
        ([(f"lora_unet_down_blocks_1_{ATTENTION}2_to_k", 768)], "SD 1.5", "attn2 width 768"),
        ([(f"unet.down_blocks.1.{ATTENTION.replace('_0_', '.0.')}2.to_v", 1024)], "SD 2",
         "attn2 width 1024"),
        ([("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", 2048)], "SDXL",
         "attn2 width 2048"),
        ([("module.unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k", 768)],
         "SD 1.5", "attn2 width 768"),
        ([("unet._orig_mod.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k", 768)],
         "SD 1.5", "attn2 width 768"),
        ([("pipe.unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k", 768)], "SD 1.5",
         "attn2 width 768"),
        ([("unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.base_layer", 768)],
         "SD 1.5", "attn2 width 768"),
        ([("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", 1280)], "SDXL refiner",
         "attn2 width 1280"),
        ([(f"lora_unet_down_blocks_0_{ATTENTION}1_to_q", 320)], "SD 1.5 or SD 2",
         f"down_blocks_0_{ATTENTION}1_to_q, 320 wide"),
        ([("lora_unet_down_blocks_3_resnets_0_conv1", 1280)], "SD 1.5 or SD 2",
         "down_blocks_3_resnets_0_conv1, 1280 wide"),
        ([("lora_unet_up_blocks_0_attentions_2_proj_in", 1280)], "SDXL",
         "up_blocks_0_attentions_2_proj_in, 1280 wide"),
        ([(f"lora_unet_up_blocks_1_{ATTENTION}1_to_q", 640)], "SDXL",
         f"up_blocks_1_{ATTENTION}1_to_q, 640 wide"),
        ([(f"lora_unet_up_blocks_1_{ATTENTION}1_to_q", 1280)], "SD 1.5 or SD 2",
         f"up_blocks_1_{ATTENTION}1_to_q, 1280 wide"),
        ([("lora_unet_middle_block_1_transformer_blocks_9_ff_net_2", 5120)], "SDXL",
         "middle_block_1_transformer_blocks_9_ff_net_2, 5120 wide"),
        ([("lora_unet_mid_block_attentions_0_transformer_blocks_3_attn1_to_q", 1536)],
         "SDXL refiner", "mid_block_attentions_0_transformer_blocks_3_attn1_to_q, 1536 wide"),
        ([("lora_unet_label_emb_0_0", 2816)], "SDXL", "label_emb_0_0, 2816 wide"),
        ([("lora_unet_down_blocks_0_resnets_0_conv1", 320)], "", ""),
        ([(TO_Q, 640)], "", ""),
        # Text encoders beside a UNet that leaves several, and alone
        ([(TO_Q, 640), ("lora_te_text_model_encoder_layers_0_mlp_fc1", 768)], "SD 1.5",
         "text encoder width 768"),
        ([(TO_Q, 640), ("lora_te1_text_model_encoder_layers_0_mlp_fc1", 768)], "SDXL",
         "a numbered text encoder"),
        ([(TO_Q, 640), ("lora_te2_text_model_encoder_layers_0_mlp_fc1", 1280)], "SDXL",
         "a second text encoder"),
        ([(f"lora_unet_up_blocks_1_{ATTENTION}1_to_q", 640),
          ("lora_te_text_model_encoder_layers_0_mlp_fc1", 768)], "SDXL",
         f"up_blocks_1_{ATTENTION}1_to_q, 640 wide"),
        ([("lora_te_text_model_encoder_layers_0_mlp_fc1", 768)], "SD 1.5",
         "text encoder width 768"),
        ([("lora_te_text_model_encoder_layers_0_mlp_fc2", 4096)], "SD 2",
         "text encoder width 4096"),
        ([("text_encoder.text_model.encoder.layers.0.mlp.fc1", 1024)], "SD 2",
         "text encoder width 1024"),
        ([("text_encoder.text_model.encoder.layers.0.mlp.fc1", 768)], "", ""),
        ([("lora_te1_text_model_encoder_layers_0_mlp_fc1", 768)], "", ""),
        ([("clip_g.text_model.encoder.layers.0.mlp.fc1", 1280)], "SDXL", "a second text encoder"),
        ([("lora_te2.text_model.encoder.layers.0.mlp.fc1", 1280)], "SDXL",
         "a second text encoder"),
        ([("lora_te.text_model.encoder.layers.0.mlp.fc1", 768)], "SD 1.5",
         "text encoder width 768"),
        ([("lora_unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k", 768)], "SD 1.5",
         "attn2 width 768"),
    ],
)  # fmt: skip
def test_names_and_widths_of_stable_diffusion(
    modules: list[tuple[str, int]], base: str, evidence: str
) -> None:
    assert base_of(lora(*modules))[:2] == (base, evidence)


def test_an_only_text_encoder_of_unknown_width_is_one_of_two() -> None:
    shapes: Shapes = {"lora_te_text_model_encoder_layers_0_mlp_fc1.oft_blocks": (4, 8, 8)}
    assert base_of(shapes).name == "SD 1.5 or SD 2"


def test_the_projections_tell_sd_1_from_sd_2() -> None:
    name = "lora_unet_down_blocks_0_attentions_0_proj_in"
    assert base_of(lora((name, 320))).name == "SD 2"
    shapes = {key: (*shape, 1, 1) for key, shape in lora((name, 320)).items()}
    assert base_of(shapes).name == "SD 1.5"


def test_names_alone_count_in_a_model_of_another_size() -> None:
    assert base_of(lora(("lora_unet_up_blocks_0_attentions_0_proj_in", 48))).name == "SDXL"
    assert base_of(lora((f"lora_unet_down_blocks_0_{ATTENTION}1_to_q", 48))).name == (
        "SD 1.5 or SD 2"
    )
    assert base_of(lora((TO_Q, 32), ("lora_te_text_model_x", 16))).name == ""


def test_every_module_of_sdxl_is_known_in_both_layouts() -> None:
    from engine.lora.base_model.unets import _known_modules
    from engine.sdxl.unet_names import unet_original_path

    known = _known_modules()
    for path, module in outline_of(None, torch.float16)["unet"].named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter):
            width = weight.shape[1] if weight.dim() > 1 else None
            for name in (path, unet_original_path(path)):
                assert known[name.replace(".", "_")]["SDXL"] == width


@pytest.mark.parametrize("kind", ["SD 1.5", "SD 2"])
def test_every_module_of_sd_1_and_2_is_known(kind: str) -> None:
    from engine.lora.base_model.unets import _known_modules

    known, linear = _known_modules(), kind == "SD 2"
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(
            cross_attention_dim=1024 if linear else 768, use_linear_projection=linear
        )
    paths = set()
    for path, module in unet.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter):
            paths.add(path.replace(".", "_"))
            width = weight.shape[1] if weight.dim() > 1 else None
            assert known[path.replace(".", "_")][kind] == width
    foreign = {name for name, places in known.items() if kind not in places}
    assert not foreign & paths


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        # sd-scripts
        ("ss_base_model_version", "sd_v1", "SD 1.5"),
        ("ss_base_model_version", "sd_v2_v", "SD 2"),
        ("ss_base_model_version", "sdxl_base_v1-0", "SDXL"),
        ("ss_base_model_version", "sd3_m", "SD 3"),
        ("ss_base_model_version", "sd3-5-large", "SD 3.5"),
        ("ss_base_model_version", "flux1", "Flux"),
        ("ss_base_model_version", "chroma", "Chroma"),
        ("ss_base_model_version", "lumina2", "Lumina 2"),
        ("ss_base_model_version", "hunyuan-image-2.1", "HunyuanImage"),
        ("ss_base_model_version", "anima", "Anima"),
        ("ss_v2", "True", "SD 2"),
        # musubi-tuner
        ("ss_base_model_version", "hunyuan_video", "HunyuanVideo"),
        ("ss_base_model_version", "framepack", "HunyuanVideo"),
        ("ss_base_model_version", "wan2.2", "Wan"),
        ("ss_base_model_version", "flux_kontext", "Flux"),
        ("ss_base_model_version", "qwen_image_edit", "Qwen-Image"),
        ("ss_base_model_version", "z_image", "Z-Image"),
        # ai-toolkit
        ("ss_base_model_version", "sd_1.5", "SD 1.5"),
        ("ss_base_model_version", "sd_2.1", "SD 2"),
        ("ss_base_model_version", "sdxl_1.0", "SDXL"),
        ("ss_base_model_version", "flux2_klein_4b", "Flux 2"),
        ("ss_base_model_version", "flex2", "Flex"),
        ("ss_base_model_version", "wan_2.1", "Wan"),
        ("ss_base_model_version", "zimage", "Z-Image"),
        # ModelSpec, OneTrainer, SimpleTuner
        ("modelspec__architecture", "stable-diffusion-xl-v1-base/lora", "SDXL"),
        ("modelspec__architecture", "stable-diffusion-xl-v1-refiner", "SDXL refiner"),
        ("modelspec__architecture", "stable-diffusion-v1/lora", "SD 1.5"),
        ("modelspec__architecture", "stable-diffusion-v2-768-v/lora", "SD 2"),
        ("modelspec__architecture", "stable-diffusion-3-medium/lora", "SD 3"),
        ("modelspec__architecture", "stable-diffusion-3.5-large/lora", "SD 3.5"),
        ("modelspec__architecture", "Flux.1-dev/lora", "Flux"),
        ("modelspec__architecture", "lumina-2/lora", "Lumina 2"),
        ("modelspec__architecture", "pixart-sigma/lora", "PixArt"),
        ("modelspec__architecture", "wuerstchen-v2-prior/lora", "Stable Cascade"),
        ("modelspec__architecture", "kolors/lora", "Kolors"),
        ("modelspec__architecture", "SSD-1B/lora", "SSD-1B"),
        ("modelspec__architecture", "AuraFlow v0.3/lora", "AuraFlow"),
        ("modelspec__architecture", "LTX2/lora", "LTX 2"),
        # A name that is not in the table is taken as it stands, cut and without control signs.
        ("modelspec__architecture", "mageflow/lora", "mageflow"),
        ("ss_base_model_version", "Foo\x1b[31m Bar 3", "Foo[31m Bar 3"),
        ("ss_base_model_version", "y" * 5000, "y" * 60),
        # Values that say nothing
        ("ss_base_model_version", "None", ""),
        ("ss_base_model_version", "", ""),
        ("ss_base_model_version", "  ", ""),
        ("modelspec__architecture", "unknown/lora", ""),
        ("modelspec__architecture", "N/A", ""),
        ("modelspec__architecture", "Stable Diffusion/lora", ""),
        ("ss_base_model_version", "checkpoint", ""),
        ("ss_v2", "False", ""),
    ],
)  # fmt: skip
def test_metadata_is_believed(key: str, value: str, name: str) -> None:
    found = base_of(lora((TO_Q, 640)), **{key: value})
    assert found.name == name
    if name:
        assert key.replace("__", ".") in found.evidence
        assert value[:10].partition("\x1b")[0] in found.evidence


def test_metadata_that_names_another_model_than_sdxl_comes_first() -> None:
    xl = lora(("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", 2048))
    found = base_of(xl, ss_base_model_version="sd_1.5")
    assert found[:2] == (
        "SD 1.5", "ss_base_model_version: sd_1.5, although its names are those of SDXL"
    )  # fmt: skip
    both = {
        "modelspec__architecture": "stable-diffusion-xl-v1-base",
        "ss_base_model_version": "kolors",
    }
    assert base_of(xl, **both).name == "Kolors"


def test_a_whole_sdxl_is_one_whatever_its_metadata_says() -> None:
    key = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
    tensors = {key: TensorInfo("F16", (640, 2048), 0, 0)}
    for words in ("playground-v2", "my-merge", "stable-diffusion-v1"):
        header = Header(tensors, {"modelspec.architecture": words}, 0, 0)
        assert base_of_file(header, {})[:2] == ("SDXL", "attn2 width 2048")


def test_names_that_one_family_alone_has_come_before_metadata() -> None:
    flux = lora(("lora_unet_double_blocks_0_img_mod_lin", 3072))
    found = base_of(flux, ss_base_model_version="sd_1.5")
    assert found.name == "Flux"
    assert found.evidence.endswith("although its metadata has ss_base_model_version: sd_1.5")
    sd = lora((f"lora_unet_down_blocks_1_{ATTENTION}2_to_k", 768))
    assert base_of(sd, ss_base_model_version="sdxl_base_v1-0").name == "SD 1.5"
    # A family that is not in the table may well have the names of one that is.
    assert base_of(flux, ss_base_model_version="mageflow").name == "mageflow"


def test_metadata_chooses_where_names_leave_several() -> None:
    several = lora(("lora_unet_double_blocks_0_img_mlp_0", 3072))
    assert base_of(several, ss_base_model_version="chroma").name == "Chroma"
    joint = lora(("lora_unet_joint_blocks_3_context_block_attn_qkv", 2432))
    assert base_of(joint, ss_base_model_version="sd3").name == "SD 3.5"


@pytest.mark.parametrize(
    ("metadata", "variant"),
    [
        ({"ss_sd_model_name": "ponyDiffusionV6XL_v6StartWithThisOne.safetensors"}, "Pony"),
        ({"ss_sd_model_name": "Illustrious-XL-v0.1.safetensors"}, "Illustrious"),
        ({"ss_sd_model_name": "NoobAI-XL-Vpred-v1.0.safetensors"}, "NoobAI"),
        ({"ss_base_model_version": "illustrious"}, "Illustrious"),
        ({"ss_sd_model_name": "sd_xl_base_1.0.safetensors"}, ""),
        ({}, ""),
    ],
)
def test_what_people_call_an_sdxl(metadata: dict[str, str], variant: str) -> None:
    xl = lora(("lora_unet_label_emb_0_0", 2816))
    found = base_of(xl, **{"ss_base_model_version": "sdxl_base_v1-0", **metadata})
    assert (found.name, found.variant) == ("SDXL", variant)
    flux = lora(("lora_unet_double_blocks_0_img_mod_lin", 3072))
    assert base_of(flux, **metadata).variant == ""


@pytest.mark.parametrize(
    ("words", "family", "variant"),
    [
        ("SDXL 1.0", "SDXL", ""), ("SDXL Turbo", "SDXL", ""), ("Pony", "SDXL", "Pony"),
        ("Pony V6 XL", "SDXL", "Pony"), ("Pony V7", "AuraFlow", "Pony"),
        ("Pony Diffusion V7", "AuraFlow", "Pony"), ("Illustrious", "SDXL", "Illustrious"),
        ("NoobAI", "SDXL", "NoobAI"), ("Animagine XL 3.1", "SDXL", "Animagine"),
        ("Some Mix SDXL", "SDXL", ""), ("Juggernaut XL", "SDXL", ""), ("XL", "SDXL", ""),
        ("SD 1.5", "SD 1.5", ""), ("SD1", "SD 1.5", ""), ("SD 2.1 768", "SD 2", ""),
        ("SD 3.5 Large", "SD 3.5", ""), ("SVD XT", "SVD", ""), ("Flux.1 D", "Flux", ""),
        ("Flux.2 Klein 9B", "Flux 2", ""), ("Hunyuan 1", "HunyuanDiT", ""),
        ("Hunyuan Video", "HunyuanVideo", ""), ("Wan Video 14B t2v", "Wan", ""),
        ("ZImageTurbo", "Z-Image", ""), ("LTXV2", "LTX 2", ""), ("LTXV", "LTX", ""),
        ("Stable Cascade", "Stable Cascade", ""), ("PixArt E", "PixArt", ""),
        ("Anima", "Anima", ""), ("Playground v2", "Playground", ""), ("Other", "", ""),
        ("my own mix", "", ""), ("", "", ""), ("exlibris", "", ""),
        # Models trained on from SDXL, some of which begin as the name of another family does
        ("juggernautXL_v9", "SDXL", ""), ("dreamshaperXL10", "SDXL", ""),
        ("kohaku-xl-delta", "SDXL", ""), ("waiNSFWIllustrious_v140", "SDXL", "Illustrious"),
        ("animaPencil-XL", "SDXL", ""), ("wanderlust_xl", "SDXL", ""),
        ("fluxmania_xl", "SDXL", ""), ("LTXmix_sdxl", "SDXL", ""),
        ("flux-xl", "Flux", ""), ("SANAXL", "Sana", ""), ("koala-xl", "Koala", ""),
        ("PixArt-XL-2-1024-MS", "PixArt", ""), ("fluxlab", "Flux", ""),
        ("stable-diffusion-xl-v1-refiner", "SDXL refiner", ""),
    ],
)  # fmt: skip
def test_words_of_sidecars(words: str, family: str, variant: str) -> None:
    assert (family_called(words), variant_called(words)) == (family, variant)


_NAMES = st.lists(
    st.sampled_from(
        ["lora_unet_", "transformer.", "down_blocks", "blocks", "double_blocks", ".", "_", "attn2",
         "to_k", "attentions", "0", "19", "9" * 40, "img_attn_qkv", "lora_te_", "\n", "ﬁ", "İ"]
    ),
    max_size=8,
).map("".join)  # fmt: skip


@given(
    st.dictionaries(_NAMES | st.text(), st.lists(st.integers(0, 4096), max_size=4).map(tuple)),
    st.dictionaries(
        st.sampled_from(["modelspec.architecture", "ss_base_model_version", "ss_v2"]), st.text()
    ),
)
def test_any_header_gets_an_answer(shapes: Shapes, metadata: dict[str, str]) -> None:
    tensors = {key: TensorInfo("F16", shape, 0, 0) for key, shape in shapes.items()}
    header = Header(tensors, metadata, 0, 0)
    for modules in ({}, group_modules(tensors)):
        found = base_of_file(header, modules)
        assert not found.name or found.evidence
        assert found.name.isprintable()


def test_a_name_of_a_million_letters_takes_no_time() -> None:
    """A guard against work that grows with the square of a name's length; it would take hours."""
    for part in ("1", "blocks_0_", "attentions_", "transformer.", "_processor_to_"):
        base_of(lora((part * (1_000_000 // len(part)), 640)))
