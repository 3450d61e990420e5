"""What a single file is, from its tensor names: SDXL's checkpoint, or why it cannot be opened."""

from __future__ import annotations

from pathlib import Path

from engine.checkpoint.layout import PREFIXES, Part
from engine.errors import CheckpointError
from engine.lora.header import Header

_NETWORKS: tuple[Part, ...] = ("unet", "text_encoder", "text_encoder_2")
"""What a checkpoint must hold; the VAE may lie in a file of its own."""

_EDM_KEYS = ("edm_mean", "edm_std", "edm_vpred.sigma_max")
"""Marks of models that are sampled with other noise levels than SDXL's (arXiv:2206.00364)."""


def require_sdxl(name: str, header: Header) -> None:
    """Accept the header of an SDXL checkpoint in the original layout, with a VAE or without.

    Raises `CheckpointError` that names what the file is instead.
    """
    if not all(_has(header, PREFIXES[part]) for part in _NETWORKS):
        raise CheckpointError(f"{name}: {describe(header)}")
    conv_in = header.tensors.get(PREFIXES["unet"] + "input_blocks.0.0.weight")
    channels = conv_in.shape[1] if conv_in is not None and len(conv_in.shape) == 4 else 4
    if channels != 4:
        kind = {9: "an inpainting checkpoint", 8: "an image-editing checkpoint"}
        raise CheckpointError(
            f"{name}: this is {kind.get(channels, 'no text-to-image checkpoint')} ({channels} "
            "input channels); open a text-to-image one."
        )
    if any(key in header.tensors for key in _EDM_KEYS):
        raise CheckpointError(
            f"{name}: this SDXL was trained for EDM sampling (such as Playground 2.5 or CosXL), "
            "which is not supported; open another checkpoint."
        )


def holds_vae(header: Header) -> bool:
    """Whether a VAE is among the tensors, in the original layout or in diffusers'."""
    starts = ("decoder.up.", "decoder.up_blocks.")
    return any(key.removeprefix(PREFIXES["vae"]).startswith(starts) for key in header.tensors)


def is_pickle(path: Path) -> bool:
    """Whether a file that is no safetensors file starts like PyTorch's (zip or bare pickle)."""
    with path.open("rb") as file:
        start = file.read(2)
    return start == b"PK" or start[:1] == b"\x80"


def _has(header: Header, prefix: str) -> bool:
    return any(key.startswith(prefix) for key in header.tensors)


def describe(header: Header) -> str:
    """Say what a file is that is no SDXL checkpoint, and what to do."""
    keys = header.tensors.keys()
    has_unet = _has(header, PREFIXES["unet"])

    def any_key(*parts: str) -> bool:
        return any(part in key for key in keys for part in parts)

    if any_key("lora_down", "lora_A", "lora_up", "hada_w1", "lokr_w", "oft_blocks", "dora_scale"):
        return "this is a LoRA, not a model; put it into a LoRA folder (--loras)."
    if any_key("double_blocks.", "single_blocks."):
        return "this is a Flux model; only SDXL can be opened."
    if any_key("joint_blocks."):
        return "this is a Stable Diffusion 3 model; only SDXL can be opened."
    if has_unet and any_key("cond_stage_model.model."):
        return "this is a Stable Diffusion 2 model; only SDXL can be opened."
    if has_unet and any_key("cond_stage_model."):
        return "this is a Stable Diffusion 1 model; only SDXL can be opened."
    if has_unet and any_key("conditioner.embedders.0.model."):
        return "this is the SDXL refiner, which draws no pictures of its own; open the base model."
    if has_unet:
        return "it holds a UNet but not SDXL's two text encoders; open a whole checkpoint."
    if holds_vae(header):
        return "this is a VAE alone, not a model."
    if _has(header, "down_blocks.") or _has(header, "input_blocks."):
        return "this is a UNet alone; open a whole checkpoint, or the folder it belongs to."
    if any_key("emb_params", "string_to_param", "clip_g"):
        return "this is a textual inversion (an embedding), not a model."
    return "this is no SDXL checkpoint (none of its tensors are known)."
