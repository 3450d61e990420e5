"""Write trained factors as a LoRA file, under the names and with the metadata of trainers."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path

import torch

from engine.sdxl.unet_names import unet_original_path
from tools.demo.adapt import Attached
from tools.demo.data import PICTURES, draw_pictures
from tools.demo.export import save_with_hash
from tools.demo.recipes import Recipe
from tools.demo.scenes import SIZE

log = logging.getLogger("demo.loras")


def file_name(naming: str, part: str, path: str) -> str:
    """The module's name in a file, in one of the namings found in the wild."""
    if naming == "peft":
        return f"{part}.{path}"
    if part == "unet":
        path = unet_original_path(path) if naming == "sgm" else path
        return "lora_unet_" + path.replace(".", "_")
    number = 1 if part == "text_encoder" else 2
    path = "text_model." + path.removeprefix("text_model.")
    return f"lora_te{number}_" + path.replace(".", "_")


_PEFT_ENDINGS = {"lora_up.weight": "lora_B.weight", "lora_down.weight": "lora_A.weight"}


def file_tensors(recipe: Recipe, attached: Attached) -> dict[str, torch.Tensor]:
    """All tensors of the file in fp16. PEFT's naming has no alpha: there it equals the rank."""
    tensors: dict[str, torch.Tensor] = {}
    for (part, path), factors in attached.items():
        for ending, tensor in factors.tensors().items():
            if recipe.naming == "peft":
                if ending not in _PEFT_ENDINGS:
                    continue
                ending = _PEFT_ENDINGS[ending]
            key = f"{file_name(recipe.naming, part, path)}.{ending}"
            tensors[key] = tensor.detach().to(torch.float16).contiguous().clone()
    return tensors


def file_metadata(recipe: Recipe, steps: int) -> dict[str, str]:
    """kohya's and modelspec's metadata, as trainers write it."""
    if recipe.naming == "peft":
        return {"format": "pt"}
    usage = {"modelspec.usage_hint": recipe.usage} if recipe.usage else {}
    captions = draw_pictures(PICTURES, seed=5)[1]
    tags = Counter(
        tag.strip() for caption in captions for tag in caption.split(" on a ")[0].split(",")
    )
    module = "networks.lora" if recipe.family == "lora" else "lycoris.kohya"
    arguments = {"algo": recipe.family, "conv_dim": recipe.conv_rank} if "lyc" in module else {}
    name = Path(recipe.path).name
    return {
        "ss_base_model_version": "sdxl_base_v1-0",
        "ss_network_module": module,
        "ss_network_dim": str(recipe.rank),
        "ss_network_alpha": str(float(recipe.rank)),
        "ss_network_args": json.dumps(arguments),
        "ss_output_name": name,
        "ss_sd_model_name": "loraswitch_demo.safetensors",
        "ss_num_train_images": str(PICTURES),
        "ss_steps": str(steps),
        "ss_tag_frequency": json.dumps({f"1_{name}": dict(tags.most_common(40))}),
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
        "modelspec.title": recipe.title,
        "modelspec.description": recipe.description,
        "modelspec.author": "loraswitch",
        "modelspec.license": "Apache-2.0",
        "modelspec.resolution": f"{SIZE}x{SIZE}",
        "modelspec.trigger_phrase": recipe.trigger or "None",
        **usage,
    }


def write(recipe: Recipe, attached: Attached, out: Path, steps: int) -> Path:
    """Write the LoRA's file."""
    path = out / f"{recipe.path}.safetensors"
    tensors, metadata = file_tensors(recipe, attached), file_metadata(recipe, steps)
    save_with_hash(tensors, path, metadata, "sshs_model_hash")
    log.info("%s: %d tensors, %d KiB", path.name, len(tensors), path.stat().st_size // 1024)
    return path
