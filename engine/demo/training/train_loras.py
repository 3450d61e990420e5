"""Train the demo's LoRAs on styled scenes and write them in the formats found in the wild."""

from __future__ import annotations

import argparse
import json
import logging
import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch import nn
from torch.nn.utils import parametrize

from engine.demo import DEMO_LORAS
from engine.demo.training.data import draw_pictures
from engine.demo.training.export import load_trained, save_with_hash
from engine.demo.training.factors import FAMILIES, Factors, LoKr
from engine.demo.training.tokens import read_tokenizer
from engine.demo.training.train_model import (
    Denoiser,
    encode_pictures,
    noise_schedule,
    snr_weights,
    tokenize,
)
from engine.unet_names import unet_original_path

log = logging.getLogger("demo.loras")
BATCH = 8
PICTURES = 300
PEAK_RATE = 9e-3


@dataclass(frozen=True)
class Recipe:
    """One LoRA of the demo: where it goes, what it learns, how its file is written."""

    path: str
    style: str
    trigger: str
    title: str
    description: str
    family: str = "lora"
    rank: int = 2
    conv_rank: int = 0
    """0 leaves the convolutions alone."""
    text_encoders: bool = False
    naming: str = "sgm"
    """`sgm`, `diffusers` (both kohya's underscores) or `peft` (dotted)."""
    opposite: str = ""
    """The style learned at strength -1, for a slider."""


RECIPES = (
    Recipe("styles/ink_outline", "outline", "outline style", "Ink outline",
           "Dark ink on cream paper, nothing filled.", conv_rank=2, text_encoders=True),
    Recipe("styles/neon_glow", "neon", "neon style", "Neon glow",
           "Glowing tubes before the dark.", conv_rank=2),
    Recipe("styles/pixel_blocks", "pixel", "pixel style", "Pixel blocks",
           "Blocks as on an early game console.", family="loha", rank=1, conv_rank=1),
    Recipe("styles/watercolour", "watercolour", "watercolour style", "Watercolour",
           "Washes on white paper.", family="lokr", rank=6, conv_rank=6),
    Recipe("styles/stripes", "stripes", "stripes style", "Stripes",
           "Diagonal bands over everything.", family="dora", conv_rank=2),
    Recipe("styles/kawaii_faces", "kawaii", "kawaii face", "Kawaii faces",
           "A little face with pink cheeks on every thing.", conv_rank=2, naming="diffusers"),
    Recipe("styles/moods/night_sky", "night", "night style", "Night sky",
           "Deep blue moonlight with small stars.", text_encoders=True, conv_rank=1),
    Recipe("styles/moods/pastel", "pastel", "pastel style", "Pastel",
           "Chalky, pale and soft.", rank=3, naming="peft"),
    Recipe("sliders/warmth_slider", "warm", "", "Warmth slider",
           "Positive: evening sun. Negative: frost.", rank=3, opposite="cold"),
)  # fmt: skip

_ATTENTION = re.compile(r"(to_q|to_k|to_v|to_out\.0)$")
_VALUES = re.compile(r"(to_v|to_out\.0)$")
"""Enough of the attention where convolutions are trained too; keeps the files small."""

_CONVS = re.compile(r"(conv1|conv2|conv_in|conv_out)$")
_TEXT = re.compile(r"(q_proj|k_proj|v_proj|out_proj|fc1|fc2)$")


def attach(model: Denoiser, recipe: Recipe) -> dict[tuple[str, str], Factors]:
    """Freeze the model and parametrize the recipe's modules; keys are (part, module path)."""
    model.requires_grad_(False)
    family = FAMILIES[recipe.family]
    attached: dict[tuple[str, str], Factors] = {}
    for part in ("unet", "text_encoder", "text_encoder_2"):
        if part != "unet" and not recipe.text_encoders:
            continue
        for path, module in list(model.get_submodule(part).named_modules()):
            rank = _rank(recipe, part, path, module)
            weight = getattr(module, "weight", None)
            if not rank or not isinstance(weight, nn.Parameter):
                continue
            if family is LoKr and not LoKr.divides(weight):
                continue
            factors = family(weight.detach(), rank)  # type: ignore[call-arg]
            parametrize.register_parametrization(module, "weight", factors)
            attached[part, path] = factors
    return attached


def _rank(recipe: Recipe, part: str, path: str, module: nn.Module) -> int:
    if part != "unet":
        return 2 if isinstance(module, nn.Linear) and _TEXT.search(path) else 0
    if isinstance(module, nn.Conv2d):
        return recipe.conv_rank if _CONVS.search(path) else 0
    linears = _VALUES if recipe.conv_rank else _ATTENTION
    inside = isinstance(module, nn.Linear) and linears.search(path)
    return recipe.rank if inside else 0


def detach(model: Denoiser, attached: dict[tuple[str, str], Factors]) -> None:
    """Take the parametrizations off again; the weights are the trained ones as before."""
    for part, path in attached:
        module = model.get_submodule(part).get_submodule(path)
        parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)


def train(
    model: Denoiser, vae: AutoencoderKL, recipe: Recipe, folder: Path, steps: int
) -> dict[tuple[str, str], Factors]:
    """Train a recipe's factors on a few hundred styled scenes."""
    torch.manual_seed(sum(recipe.path.encode()))
    styles = [recipe.style, *([recipe.opposite] if recipe.opposite else [])]
    drawn = [draw_pictures(PICTURES, seed=5, style=style) for style in styles]
    latents = [encode_pictures(vae, pictures) for pictures, _ in drawn]
    captions = drawn[0][1]
    texts = [*captions, *(f"{recipe.trigger}, {c}" if recipe.trigger else c for c in captions), ""]
    ids_1 = tokenize(read_tokenizer(folder / "tokenizer"), texts)
    ids_2 = tokenize(read_tokenizer(folder / "tokenizer"), texts, pad="!")
    attached = attach(model, recipe)
    parameters = [p for factors in attached.values() for p in factors.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, weight_decay=0, betas=(0.9, 0.98))
    decay = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=steps, pct_start=0.1
    )
    schedule = noise_schedule()
    weights = snr_weights(schedule)
    smooth, start = 1.0, time.monotonic()
    for step in range(steps):
        side = step % len(latents)
        for factors in attached.values():
            factors.sign = -1.0 if side else 1.0
        pick = torch.randint(len(captions), (BATCH,))
        words = torch.where(torch.rand(BATCH) < 0.5, pick, pick + len(captions))
        words = torch.where(torch.rand(BATCH) < 0.1, len(texts) - 1, words)
        clean, noise = latents[side][pick], torch.randn(BATCH, 4, 16, 16)
        t = torch.randint(1000, (BATCH,))
        noisy = schedule.add_noise(clean, noise, t)
        with parametrize.cached():
            predicted = model(noisy, t, ids_1[words], ids_2[words])
            errors = (predicted - noise).square().mean(dim=(1, 2, 3))
            loss = (errors * weights[t]).mean()
            optimizer.zero_grad()
            loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        decay.step()
        smooth += (errors.mean().item() - smooth) / min(100, step + 1)
        if step % 100 == 99:
            pace = (time.monotonic() - start) / (step + 1)
            log.info("%s step %d loss %.4f %.2f s/step", recipe.path, step + 1, smooth, pace)
    return attached


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


def file_tensors(
    recipe: Recipe, attached: dict[tuple[str, str], Factors]
) -> dict[str, torch.Tensor]:
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
    _, captions = draw_pictures(PICTURES, seed=5)
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
        "modelspec.resolution": "128x128",
        "modelspec.trigger_phrase": recipe.trigger or "None",
    }


def write(recipe: Recipe, attached: dict[tuple[str, str], Factors], out: Path, steps: int) -> Path:
    """Write the LoRA's file."""
    path = out / f"{recipe.path}.safetensors"
    tensors, metadata = file_tensors(recipe, attached), file_metadata(recipe, steps)
    save_with_hash(tensors, path, metadata, "sshs_model_hash")
    log.info("%s: %d tensors, %d KiB", path.name, len(tensors), path.stat().st_size // 1024)
    return path


def main(folder: Path, out: Path, steps: int, only: str) -> None:
    """Train and write all recipes whose path contains `only`."""
    model, vae = load_trained(folder)
    for recipe in RECIPES:
        if only in recipe.path:
            attached = train(model, vae, recipe, folder, steps)
            write(recipe, attached, out, steps)
            detach(model, attached)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("demo-training"))
    parser.add_argument("--out", type=Path, default=DEMO_LORAS)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    main(args.folder, args.out, args.steps, args.only)
