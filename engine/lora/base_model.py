"""Which base model a LoRA or a checkpoint is for, with the reason in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from engine.lora.header import Header
from engine.lora.key_names import Module

_ARCHITECTURES = (
    ("stable-diffusion-xl-v1-refiner", "SDXL refiner"),
    ("stable-diffusion-xl", "SDXL"),
    ("stable-diffusion-v1", "SD 1.5"),
    ("stable-diffusion-v2", "SD 2"),
    ("stable-diffusion-3", "SD 3"),
    ("stable-diffusion-v3", "SD 3"),
    ("flux", "Flux"),
    ("wan", "Wan"),
    ("qwen-image", "Qwen-Image"),
    ("hunyuan-video", "HunyuanVideo"),
)
"""How `modelspec.architecture` starts."""

_KOHYA_VERSIONS = (
    ("sdxl", "SDXL"),
    ("sd_v1", "SD 1.5"),
    ("sd_v2", "SD 2"),
    ("sd3", "SD 3"),
    ("flux", "Flux"),
    ("wan", "Wan"),
    ("qwen", "Qwen-Image"),
    ("hunyuan", "HunyuanVideo"),
)
"""How `ss_base_model_version` starts."""

_ATTN2_WIDTHS = {768: "SD 1.5", 1024: "SD 2", 1280: "SDXL refiner", 2048: "SDXL"}
"""Cross-attention input width: the text encoders' width (768, 1024, 1280, 768 + 1280)."""

_MARKS = (
    ("HunyuanVideo", "individual_token_refiner", ""),
    ("Flux", "double_blocks", ""),
    ("Flux", "single_blocks", ""),
    ("Flux", "single_transformer_blocks", ""),
    ("SD 3", "joint_blocks", ""),
    ("Qwen-Image", "img_mlp", r"transformer_blocks[._]\d+[._]img_mlp"),
    ("Qwen-Image", "img_mod", r"transformer_blocks[._]\d+[._]img_mod"),
    ("SD 3", "add_q_proj", r"transformer_blocks[._]\d+[._]attn[._]add_q_proj"),
    ("Wan", "cross_attn", r"(?:^|[._])blocks[._]\d+[._]cross_attn[._]"),
    ("AnimateDiff", "motion_modules", ""),
)
"""Names that only one kind of model has: the base, a telling word, the pattern around it."""

_IN_UNET = re.compile(r"(?:attentions|input_blocks|middle_block|output_blocks)[._]")
"""Other models have blocks called transformer_blocks and attn2 too, but not in these."""

_ATTN2 = re.compile(r"attn2[._](?:processor[._])?to_[kv](?:\.|$)")
_UNET_DEPTH = re.compile(r"transformer_blocks[._](\d{1,3})(?!\d)")
_SHALLOW_TEXT_ENCODER = re.compile(r"^lora_te_|^text_encoder\.")


def base_of_file(header: Header, modules: Mapping[str, Module]) -> tuple[str, str]:
    """Name the base model and the evidence; two empty strings when nothing tells.

    The file's metadata is asked first, as the more precise of the two, unless its shapes say that
    the metadata is wrong: shapes decide what fits.
    """
    claimed, source = _from_metadata(header.metadata)
    shown, evidence = _from_names(header, modules)
    if not claimed:
        return shown, evidence
    if shown and shown != claimed:
        return shown, f"{evidence}, although its metadata says {claimed}"
    return claimed, source


def _from_metadata(metadata: Mapping[str, str]) -> tuple[str, str]:
    for key, starts in (
        ("modelspec.architecture", _ARCHITECTURES),
        ("ss_base_model_version", _KOHYA_VERSIONS),
    ):
        value = metadata.get(key, "").lower()
        for start, name in starts:
            if value.startswith(start):
                return name, key
    return "", ""


def _from_names(header: Header, modules: Mapping[str, Module]) -> tuple[str, str]:
    names: Iterable[str] = modules or header.tensors
    text = "\n".join(names)
    for name, mark, pattern in _MARKS:
        if mark in text and re.search(pattern, text, re.MULTILINE):
            return name, mark
    for width in _attn2_widths(header, modules):
        if width in _ATTN2_WIDTHS:
            return _ATTN2_WIDTHS[width], f"attn2 width {width}"
    for key in names:
        depth = _search_in_unet(_UNET_DEPTH, key)
        if depth and int(depth[1]) >= 2:
            return "SDXL", f"transformer_blocks_{int(depth[1])}"
    if any(key.startswith(("lora_te2_", "text_encoder_2.", "clip_g.")) for key in names):
        return "SDXL", "a second text encoder"
    return _from_text_encoder(modules)


def _search_in_unet(pattern: re.Pattern[str], name: str) -> re.Match[str] | None:
    """Find a pattern behind the name of a UNet's block.

    In two steps: as one pattern with `.*` between, it would try every block with every ending.
    """
    block = _IN_UNET.search(name)
    return pattern.search(name, block.end()) if block else None


def _attn2_widths(header: Header, modules: Mapping[str, Module]) -> Iterable[int | None]:
    if modules:
        return (m.input_width for name, m in modules.items() if _search_in_unet(_ATTN2, name))
    return (
        info.shape[1]
        for name, info in header.tensors.items()
        if _search_in_unet(_ATTN2, name) and len(info.shape) >= 2
    )


def _from_text_encoder(modules: Mapping[str, Module]) -> tuple[str, str]:
    """A file of text encoder modules alone: SD 1.x and 2 call their only one `lora_te_`."""
    for name, module in modules.items():
        if _SHALLOW_TEXT_ENCODER.search(name) and re.search(r"self_attn[._][qkv]_proj$", name):
            width = module.input_width
            if width == 1024 or (width == 768 and name.startswith("lora_te_")):
                return _ATTN2_WIDTHS[width], f"text encoder width {width}"
    return "", ""
