"""What a single file is, from its tensor names: SDXL's checkpoint, or why it cannot be opened."""

from __future__ import annotations

from pathlib import Path

from engine.checkpoint.layout import PREFIXES, Part
from engine.errors import CheckpointError, FileFormatError
from engine.lora.header import Header
from engine.lora.identify import identify
from engine.regular_file import open_regular

_NETWORKS: tuple[Part, ...] = ("unet", "text_encoder", "text_encoder_2")
"""What a checkpoint must hold; the VAE may lie in a file of its own."""

_EDM_KEYS = ("edm_mean", "edm_std", "edm_vpred.sigma_max")
"""Marks of models that are sampled with other noise levels than SDXL's (arXiv:2206.00364)."""

_TEXT_ENCODERS = {
    "cond_stage_model.model.": "SD 2",
    "cond_stage_model.transformer.": "SD 1.5",
    "conditioner.embedders.0.model.": "SDXL refiner",
}
"""Where other models keep their only text encoder."""


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
    """Whether a file that is no safetensors file starts like PyTorch's (zip or bare pickle).

    False for what is no file, too.
    """
    try:
        with open_regular(path) as file:
            start = file.read(2)
    except (FileFormatError, OSError):
        return False
    return start == b"PK" or start[:1] == b"\x80"


def _has(header: Header, prefix: str) -> bool:
    return any(key.startswith(prefix) for key in header.tensors)


def describe(header: Header) -> str:
    """Say what a file is that is no SDXL checkpoint, and what to do."""
    identity = identify(header)
    base = identity.base_model or _base_by_parts(header)
    match identity.kind:
        case "lora":
            return "this is a LoRA, not a model; put it into a LoRA folder (--loras)."
        case "unknown":
            example = next((f", such as {name[:90]}" for name in header.tensors), "")
            return f"this is no SDXL checkpoint (none of its tensors are known{example})."
        case "checkpoint" | "unet" if base == "SDXL refiner":
            return (
                "this is the SDXL refiner, which draws no pictures of its own; open the base model."
            )
        case "checkpoint" | "unet" if base not in ("", "SDXL"):
            return f"this is a model of another family, {base}; only SDXL can be opened."
        case "checkpoint" | "unet":
            return f"this is {identity.words}; open a whole checkpoint."
    return f"this is {identity.words}, not a model."


def _base_by_parts(header: Header) -> str:
    """The base model of a checkpoint whose widths do not tell, by its text encoder's name."""
    return next((base for start, base in _TEXT_ENCODERS.items() if _has(header, start)), "")
