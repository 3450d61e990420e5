"""What a single file is, from its tensor names: SDXL's checkpoint, or why it cannot be opened."""

from __future__ import annotations

from engine.checkpoint.layout import PREFIXES
from engine.errors import CheckpointError
from engine.lora.header import Header


def require_sdxl(name: str, header: Header) -> None:
    """Accept the header of an SDXL checkpoint in the original layout.

    Raises `CheckpointError` that names what the file is instead.
    """
    keys = header.tensors.keys()
    found = {part: any(k.startswith(p) for k in keys) for part, p in PREFIXES.items()}
    if all(found.values()):
        _require_text_to_image(name, header)
        return
    raise CheckpointError(f"{name}: {_describe(header, found['unet'])}")


def _require_text_to_image(name: str, header: Header) -> None:
    conv_in = header.tensors.get(PREFIXES["unet"] + "input_blocks.0.0.weight")
    if conv_in is not None and conv_in.shape[1:2] == (9,):
        raise CheckpointError(
            f"{name}: this is an inpainting checkpoint (nine input channels); open a "
            "text-to-image one."
        )


def _describe(header: Header, has_unet: bool) -> str:
    keys = header.tensors.keys()

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
        return "it holds a UNet but not all of SDXL's parts (two text encoders and a VAE)."
    if any_key("decoder.up.", "first_stage_model.", "decoder.up_blocks."):
        return "this is a VAE alone, not a model."
    if any_key("emb_params", "string_to_param", "clip_g"):
        return "this is a textual inversion (an embedding), not a model."
    return "this is no SDXL checkpoint (none of its tensors are known)."
