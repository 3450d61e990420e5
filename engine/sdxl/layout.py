"""Where each diffusers/transformers parameter of SDXL lies in an original single-file checkpoint.

The original ("sgm") layout is Stability AI's generative-models; its text encoder 2 is OpenCLIP's,
with q, k and v fused in one tensor and the projection stored transposed.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct, structs

from engine.sdxl.unet_names import SDXL_LAYERS, Layers, unet_original_path

Part = Literal["unet", "text_encoder", "text_encoder_2", "vae"]
PARTS: tuple[Part, ...] = ("unet", "text_encoder", "text_encoder_2", "vae")

PREFIXES: dict[Part, str] = {
    "unet": "model.diffusion_model.",
    "text_encoder": "conditioner.embedders.0.transformer.",
    "text_encoder_2": "conditioner.embedders.1.model.",
    "vae": "first_stage_model.",
}


class Source(Struct, frozen=True):
    """A parameter's place in the file: a tensor, perhaps one third of its rows, or transposed."""

    key: str
    third: int | None = None
    """0, 1 or 2: the q, k or v rows of a fused tensor."""
    transposed: bool = False


_VAE_SUBS = (
    (r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample"),
    (r"mid_block\.attentions\.0\.group_norm", r"mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
    (r"mid_block\.attentions\.0\.to_out\.0", r"mid.attn_1.proj_out"),
    (r"mid_block\.resnets\.0", r"mid.block_1"),
    (r"mid_block\.resnets\.1", r"mid.block_2"),
    (r"conv_shortcut", r"nin_shortcut"),
    (r"conv_norm_out", r"norm_out"),
)
_VAE_UP = re.compile(r"up_blocks\.(\d+)\.(resnets\.(\d+)|upsamplers\.0)")


def _vae_original(name: str, up_blocks: int) -> str:
    def up(match: re.Match[str]) -> str:
        level = up_blocks - 1 - int(match[1])
        return f"up.{level}.block.{match[3]}" if match[3] else f"up.{level}.upsample"

    name = _VAE_UP.sub(up, name)
    for pattern, replacement in _VAE_SUBS:
        name = re.sub(pattern, replacement, name)
    return name


_OLD_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
_ATTENTION_LAYER = re.compile(r"(.*\.attentions\.0\.)(to_q|to_k|to_v|to_out\.0)(\..+)")


def diffusers_vae_names(name: str) -> tuple[str, ...]:
    """A VAE parameter's names in diffusers' layout: today's, and that of before diffusers 0.14."""
    match = _ATTENTION_LAYER.fullmatch(name)
    if match is None:
        return (name,)
    return name, f"{match[1]}{_OLD_ATTENTION[match[2]]}{match[3]}"


_OPEN_CLIP_TOP = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}
_OPEN_CLIP_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_CLIP_LAYER = re.compile(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")


def _open_clip_source(name: str) -> Source:
    if name == "text_projection.weight":
        return Source("text_projection", transposed=True)
    if name in _OPEN_CLIP_TOP:
        return Source(_OPEN_CLIP_TOP[name])
    match = _CLIP_LAYER.fullmatch(name)
    if match is None:
        raise KeyError(name)
    layer, module, kind = match.groups()
    block = f"transformer.resblocks.{layer}."
    if module in _OPEN_CLIP_LAYER:
        return Source(f"{block}{_OPEN_CLIP_LAYER[module]}.{kind}")
    third = {"self_attn.q_proj": 0, "self_attn.k_proj": 1, "self_attn.v_proj": 2}[module]
    return Source(f"{block}attn.in_proj_{kind}", third=third)


def original_source(
    part: Part, name: str, *, layers: Layers = SDXL_LAYERS, vae_blocks: int = 4
) -> Source:
    """Find a parameter (`module.path.weight`) within its network in the original layout.

    `vae_blocks` is the number of the VAE's resolutions, which the layout counts the other way round
    on the way up. Raises `KeyError` for a name SDXL does not have.
    """
    if part == "unet":
        path, _, kind = name.rpartition(".")
        return Source(f"{unet_original_path(path, layers)}.{kind}")
    if part == "vae":
        return Source(_vae_original(name, vae_blocks))
    name = name.removeprefix("text_model.")
    if part == "text_encoder":
        return Source(f"text_model.{name}")
    return _open_clip_source(name)


def parameter_source(part: Part, name: str, *, layers: Layers = SDXL_LAYERS) -> Source:
    """Find a parameter of a part of the pipeline in a single file in the original layout.

    Raises `KeyError` for a name SDXL does not have.
    """
    source = original_source(part, name, layers=layers)
    return structs.replace(source, key=PREFIXES[part] + source.key)
