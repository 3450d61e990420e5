"""A module's name in each of the vocabularies that LoRA files use."""

from __future__ import annotations

from collections.abc import Callable

from engine.sdxl.unet_names import unet_original_path


def _flat(path: str) -> str:
    return path.replace(".", "_")


def _mixed(path: str) -> str:
    return UNET["kohya sgm" if "attentions" in path else "kohya diffusers"](path)


UNET: dict[str, Callable[[str], str]] = {
    "kohya diffusers": lambda path: f"lora_unet_{_flat(path)}",
    "kohya sgm": lambda path: f"lora_unet_{_flat(unet_original_path(path))}",
    "kohya both": _mixed,
    "lycoris": lambda path: f"lycoris_{_flat(path)}",
    "dotted": lambda path: f"unet.{path}",
    "comfy": lambda path: f"diffusion_model.{unet_original_path(path)}",
    "omi": lambda path: f"unet.{unet_original_path(path)}",
}
"""From a UNet module's path to its name in a file, by vocabulary."""

TEXT_ENCODERS: dict[str, Callable[[str, int], str]] = {
    "kohya": lambda path, index: f"lora_te{index}_{_flat(_wrapped(path))}",
    "kohya new layout": lambda path, index: f"lora_te{index}_{_flat(path)}",
    "dotted": lambda path, index: f"{_part(index)}.{_wrapped(path)}",
    "dotted new layout": lambda path, index: f"{_part(index)}.{path}",
    "omi": lambda path, index: f"clip_{'lg'[index - 1]}.{_wrapped(path)}",
    "comfy": lambda path, index: (
        f"text_encoders.clip_{'lg'[index - 1]}.transformer.{_wrapped(path)}"
    ),
}
"""From a text encoder module's path (without `text_model`) and number to its name in a file."""


def _part(index: int) -> str:
    return "text_encoder" if index == 1 else "text_encoder_2"


def _wrapped(path: str) -> str:
    """A path in the layout with a `text_model` around all but the projection."""
    return path if path == "text_projection" else f"text_model.{path}"
