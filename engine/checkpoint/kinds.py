"""What a single file is, from its tensor names: an SDXL model, or why it cannot be opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.errors import CheckpointError, FileFormatError
from engine.files.header import Header, TensorInfo
from engine.files.regular_file import open_regular
from engine.lora.identify import identify
from engine.sdxl.layout import Part
from engine.sdxl.part_names import part_name

_WHOLE: frozenset[Part] = frozenset({"unet", "text_encoder", "text_encoder_2"})
"""What no other model with a UNet has together; the VAE may lie in a file of its own."""

_EDM_MARKS = ("edm_mean", "edm_std", "edm_vpred.sigma_max")
"""Marks of models that are sampled with other noise levels than SDXL's (arXiv:2206.00364)."""

_PACKED = (".qweight", ".qzeros", ".wscales")
"""How tensors end in which several numbers are packed into one, with scales beside them."""

_TEXT_ENCODERS = {
    "cond_stage_model.model.": "SD 2",
    "cond_stage_model.transformer.": "SD 1.5",
    "conditioner.embedders.0.model.": "SDXL refiner",
}
"""Where other models keep their only text encoder."""


def require_sdxl(name: str, header: Header) -> frozenset[Part]:
    """Accept the header of an SDXL model, whole or its UNet alone; returns the parts it has.

    Raises `CheckpointError` that names what the file is instead.
    """
    unet: dict[str, TensorInfo] = {}
    parts = set[Part]()
    names = set[str]()
    for key, info in header.tensors.items():
        found = part_name(key)
        names.add(found.name)
        if found.part is not None:
            parts.add(found.part)
        if found.part == "unet":
            unet[found.name] = info
    is_whole = parts >= _WHOLE and any(part_name(name).part == "unet" for name in unet)
    if not is_whole and not _is_sdxl_unet(header, unet):
        raise CheckpointError(f"{name}: {describe(header)}")
    _refuse_variants(name, unet, names)
    return frozenset(parts)


def _is_sdxl_unet(header: Header, unet: Mapping[str, TensorInfo]) -> bool:
    is_kin = any(name.startswith(("label_emb.", "add_embedding.")) for name in unet)
    return is_kin and _base(header) in ("", "SDXL")


def _refuse_variants(name: str, unet: Mapping[str, TensorInfo], names: set[str]) -> None:
    """Raise `CheckpointError` for a UNet of SDXL's structure that draws by other means."""
    conv_in = unet.get("input_blocks.0.0.weight") or unet.get("conv_in.weight")
    channels = conv_in.shape[1] if conv_in is not None and len(conv_in.shape) == 4 else 4
    if channels != 4:
        kind = {9: "an inpainting checkpoint", 8: "an image-editing checkpoint"}
        raise CheckpointError(
            f"{name}: this is {kind.get(channels, 'no text-to-image checkpoint')} ({channels} "
            "input channels); open a text-to-image one."
        )
    if not names.isdisjoint(_EDM_MARKS):
        raise CheckpointError(
            f"{name}: this SDXL was trained for EDM sampling (such as Playground 2.5 or CosXL), "
            "which is not supported; open another checkpoint."
        )
    if packed := next((key for key in unet if key.endswith(_PACKED)), ""):
        raise CheckpointError(
            f"{name}: its weights are packed ({packed[:90]}): the model is quantised, which cannot "
            "be read; open one in float16, bfloat16, float32 or float8."
        )
    if "encoder_hid_proj.weight" in unet:
        raise CheckpointError(
            f"{name}: this is Kolors, which has SDXL's UNet and another text encoder (ChatGLM); "
            "only SDXL can be opened."
        )


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


def describe(header: Header) -> str:
    """Say what a file is that is no SDXL checkpoint, and what to do."""
    identity, base = identify(header), _base(header)
    has_unet = any(part_name(key).part == "unet" for key in header.tensors)
    if _has(header, "model_ema.") and not has_unet:
        return (
            "of its UNet this file has the averages of the training alone (EMA, model_ema.); open "
            "the model's file with the weights themselves."
        )
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


def _base(header: Header) -> str:
    """The base model of a checkpoint by its widths, or by its text encoder's name."""
    starts = (base for start, base in _TEXT_ENCODERS.items() if _has(header, start))
    return identify(header).base_model or next(starts, "")


def _has(header: Header, prefix: str) -> bool:
    return any(key.startswith(prefix) for key in header.tensors)
