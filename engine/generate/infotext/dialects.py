"""JSON of programs that have words of their own, in the words that are read here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from engine.generate.infotext.json_values import json_list, json_object

Table = dict[str, Any]

_NOVELAI = {
    "c": "prompt",
    "uc": "negative prompt",
    "scale": "cfg scale",
    "noise_schedule": "schedule type",
    "lora": "loras",
}
"""Draw Things has `c` and `lora` too."""
_EASY_DIFFUSION = {
    "num_inference_steps": "steps",
    "use_stable_diffusion_model": "model",
    "Stable Diffusion model": "model",
    "use_vae_model": "vae",
    "VAE model": "vae",
    "use_lora_model": "loras",
    "LoRA model": "loras",
    "lora_alpha": "lora weights",
    "LoRA Strength": "lora weights",
}
_RUINED_FOOOCUS = {"Negative": "negative prompt", "base_model_name": "model"}
_TENSOR_ART = {"samplerName": "sampler", "baseModel": "model", "models": "loras"}
_WEIGHT_AND_NAME = re.compile(r"([+-]?[0-9.]{1,20}) - (.+)", re.DOTALL)
_AVOIDED = re.compile(r"\[([^\[\]]*+)\]")
_DREAM = re.compile(r'\s*+"((?:[^"\\]|\\.)*+)"(.*)', re.DOTALL)
_DREAM_OPTION = re.compile(r"(?<!\S)-([sSWHCA])\s?(\S+)")
_DREAM_NAMES = {
    "s": "steps",
    "S": "seed",
    "W": "width",
    "H": "height",
    "C": "cfg scale",
    "A": "sampler",
}


def program_of(table: Mapping[str, object]) -> str:
    """The program that writes such JSON; empty for one that has nothing of its own."""
    if "sui_image_params" in table:
        return "SwarmUI"
    if table.get("software") == "RuinedFooocus":
        return "RuinedFooocus"
    if not _EASY_DIFFUSION.keys().isdisjoint(table):
        return "Easy Diffusion"
    if not {"uc", "v4_prompt", "noise_schedule"}.isdisjoint(table):
        return "Draw Things" if "c" in table else "NovelAI"
    if "baseModel" in table and "samplerName" in table:
        return "Tensor.Art"
    if "metadata_scheme" in table or "Fooocus V2 Expansion" in table:
        return "Fooocus"
    is_invoke_ai = "app_version" in table or _of_old_invoke_ai(table) is not None
    return "InvokeAI" if is_invoke_ai else ""


def in_our_words(table: Mapping[str, Any]) -> Table:
    """A program's settings by the names that are read here; what is not known stays as it is."""
    match program_of(table):
        case "NovelAI" | "Draw Things":
            return _of_novelai(table)
        case "Easy Diffusion":
            return _renamed(table, _EASY_DIFFUSION)
        case "RuinedFooocus":
            return _of_ruined_fooocus(table)
        case "Tensor.Art":
            return _of_tensor_art(table)
        case "InvokeAI" if (image := _of_old_invoke_ai(table)) is not None:
            prompt, negative = _without_avoided(_prompt_of_parts(image.get("prompt")))
            model = {"model": table.get("model_weights"), "app_version": table.get("app_version")}
            return {**model, **image, "prompt": prompt, "negative prompt": negative}
    return dict(table)


def read_dream(text: str) -> Table:
    """The command that the first InvokeAI wrote: `"a fox [blurry]" -s 50 -S 7 -A k_lms`."""
    found = _DREAM.match(text)
    if found is None:
        return {}
    prompt, negative = _without_avoided(found[1])
    options = {_DREAM_NAMES[name]: value for name, value in _DREAM_OPTION.findall(found[2])}
    return {"prompt": prompt, "negative prompt": negative, **options}


def _renamed(table: Mapping[str, Any], names: Mapping[str, str]) -> Table:
    return {names.get(name, name): value for name, value in table.items()}


def _of_novelai(table: Mapping[str, Any]) -> Table:
    """Its fourth version has a part of the prompt for each character."""
    found = _renamed(table, _NOVELAI)
    if found.get("schedule type") == "native":
        del found["schedule type"]
    for name, parts in (("prompt", "v4_prompt"), ("negative prompt", "v4_negative_prompt")):
        caption = (json_object(table.get(parts)) or {}).get("caption")
        texts = [found.get(name)]
        if isinstance(caption, dict):
            texts[0] = texts[0] or caption.get("base_caption")
            characters = filter(_is_table, json_list(caption.get("char_captions")))
            texts += [character.get("char_caption") for character in characters]
        found[name] = ", ".join(text for text in texts if isinstance(text, str) and text)
    return found


def _of_ruined_fooocus(table: Mapping[str, Any]) -> Table:
    """Its LoRAs are pairs: a hash, and `0.5 - name`."""
    found = _renamed(table, _RUINED_FOOOCUS)
    loras = []
    for pair in json_list(found.get("loras")):
        match pair:
            case [str(digest), str(text)] if said := _WEIGHT_AND_NAME.fullmatch(text):
                loras.append([said[2], said[1], digest])
    return {**found, "loras": loras}


def _of_tensor_art(table: Mapping[str, Any]) -> Table:
    """Models and LoRAs are described in objects, by the names of their files."""
    found = _renamed(table, _TENSOR_ART)
    loras = [
        [item.get("modelFileName") or item.get("label"), item.get("weight"), item.get("hash")]
        for item in filter(_is_table, json_list(found.get("loras")))
        if str(item.get("type", "")).upper() in ("LORA", "LOCON", "DORA")
    ]
    model = json_object(found.get("model")) or {}
    name, digest = model.get("modelFileName") or model.get("label"), model.get("hash")
    return {**found, "loras": loras, "model": name, "model hash": digest}


def _of_old_invoke_ai(table: Mapping[str, object]) -> Table | None:
    """What InvokeAI before its third version says of the picture."""
    image = table.get("image")
    return image if isinstance(image, dict) and "prompt" in image else None


def _prompt_of_parts(prompt: object) -> str:
    """A prompt, or the parts of one with weights beside them."""
    parts = prompt if isinstance(prompt, list) else [prompt]
    texts = [part.get("prompt") if isinstance(part, dict) else part for part in parts]
    return " ".join(text for text in texts if isinstance(text, str))


def _without_avoided(prompt: str) -> tuple[str, str]:
    """A prompt of the old InvokeAI, and what stands in its square brackets: the negative one."""
    avoided = ", ".join(text.strip() for text in _AVOIDED.findall(prompt))
    return " ".join(_AVOIDED.sub(" ", prompt).split()) if avoided else prompt, avoided


def _is_table(value: object) -> bool:
    return isinstance(value, dict)
