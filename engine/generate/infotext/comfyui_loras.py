"""LoRAs in the inputs of ComfyUI's nodes: its own loader, stacks and lists of others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import EngineError
from engine.generate.infotext.fields import file_name
from engine.generate.infotext.json_values import json_list
from engine.generate.infotext.numbers import real
from engine.words.lora_tags import LoraTag, split_tags, writable_name

_MOST_ROWS = 100
_TEXTS = ("text", "lora_syntax", "prompt")
_OFF = ("off", "false", "none", "no")


def loras_of(inputs: Mapping[str, Any]) -> list[LoraTag]:
    """Those that a node puts on a model, in its order; those that are switched off are none."""
    return list(_rows(inputs)) or list(_listed(inputs)) or _of_tags(inputs)


def _rows(inputs: Mapping[str, Any]) -> Iterator[LoraTag]:
    if "lora_name" in inputs:
        one = inputs.get("strength_model", inputs.get("lora_model_strength", 1.0))
        yield from _tag(
            inputs["lora_name"], one, inputs.get("strength_clip", inputs.get("lora_clip_strength"))
        )
    for number in range(1, _MOST_ROWS):
        row = inputs.get(f"lora_{number}")
        if isinstance(row, dict):
            # rgthree's Power Lora Loader.
            if row.get("on", True):
                yield from _tag(row.get("lora"), row.get("strength"), row.get("strengthTwo"))
            continue
        name = inputs.get(f"lora_name_{number}", row)
        if name is None:
            if number > 1:
                break
            continue
        # Stacks of Comfyroll, Efficiency and others.
        if str(inputs.get(f"switch_{number}", "On")).lower() in _OFF:
            continue
        one = inputs.get(f"model_weight_{number}", inputs.get(f"model_str_{number}"))
        two = inputs.get(f"clip_weight_{number}", inputs.get(f"clip_str_{number}"))
        plain = inputs.get(f"lora_wt_{number}", inputs.get(f"strength_{number}"))
        yield from _tag(name, plain if one is None else one, two)


def _listed(inputs: Mapping[str, Any]) -> Iterator[LoraTag]:
    """LoRA Manager's list: objects with a name and strengths."""
    listed = inputs.get("loras")
    for row in json_list(listed.get("__value__") if isinstance(listed, dict) else listed):
        if isinstance(row, dict) and row.get("active", True):
            yield from _tag(row.get("name"), row.get("strength"), row.get("clipStrength"))


def _of_tags(inputs: Mapping[str, Any]) -> list[LoraTag]:
    """Loaders that take tags in a text; there the first of two strengths is the model's."""
    texts = (inputs.get(name) for name in _TEXTS)
    text = next((text for text in texts if isinstance(text, str)), "")
    try:
        return list(split_tags(text, "unet, te")[1])
    except EngineError:
        return []


def _tag(name: object, model: object, clip: object) -> Iterator[LoraTag]:
    if isinstance(name, dict):
        name = name.get("content", name.get("name"))
    if not isinstance(name, str) or name.lower() in ("", "none"):
        return
    stem = file_name(name.replace("\\", "/").rpartition("/")[2])
    unet = real(model)
    unet = 1.0 if unet is None else unet
    text_encoder = real(clip)
    yield LoraTag(writable_name(stem), unet, unet if text_encoder is None else text_encoder)
