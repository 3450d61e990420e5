"""Train the demo's style LoRAs on styled scenes and write them in the formats found in the wild."""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch.nn.utils import parametrize

from engine.demo import DEMO_LORAS
from tools.demo.adapt import Attached, attach, detach, set_sign
from tools.demo.data import PICTURES, draw_pictures
from tools.demo.denoiser import (
    Denoiser,
    encode_pictures,
    noise_schedule,
    random_times,
    snr_weights,
    tokenize,
)
from tools.demo.export import load_trained
from tools.demo.lora_file import write
from tools.demo.recipes import RECIPES, Recipe
from tools.demo.tokens import read_tokenizer

log = logging.getLogger("demo.loras")
BATCH = 8
PEAK_RATE = 9e-3


@torch.no_grad()
def styled_latents(vae: AutoencoderKL, style: str) -> torch.Tensor:
    """Latents of the training scenes in a style."""
    return encode_pictures(vae, draw_pictures(PICTURES, seed=5, style=style)[0])


def train(
    model: Denoiser, vae: AutoencoderKL, recipe: Recipe, folder: Path, steps: int
) -> Attached:
    """Train a recipe's factors on a few hundred styled scenes."""
    torch.manual_seed(sum(recipe.path.encode()))
    styles = [recipe.style, *([recipe.opposite] if recipe.opposite else [])]
    latents = [styled_latents(vae, style) for style in styles]
    captions = draw_pictures(PICTURES, seed=5)[1]
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
        set_sign(attached, -1.0 if side else 1.0)
        pick = torch.randint(len(captions), (BATCH,))
        words = torch.where(torch.rand(BATCH) < 0.5, pick, pick + len(captions))
        words = torch.where(torch.rand(BATCH) < 0.1, len(texts) - 1, words)
        clean = latents[side][pick]
        noise, t = torch.randn_like(clean), random_times(BATCH)
        noisy = schedule.add_noise(clean, noise, t)
        with parametrize.cached():
            predicted = model(noisy, t, ids_1[words], ids_2[words])
            errors = (predicted - noise).square().mean(dim=(1, 2, 3))
            loss = (errors * weights[t]).mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        decay.step()
        smooth += (errors.mean().item() - smooth) / min(100, step + 1)
        if step % 50 == 49:
            pace = (time.monotonic() - start) / (step + 1)
            log.info("%s step %d loss %.4f %.2f s/step", recipe.path, step + 1, smooth, pace)
    return attached


def main(folder: Path, out: Path, steps: int, only: str) -> None:
    """Train and write all recipes of a style whose path contains one of the words of `only`."""
    model, vae = load_trained(folder)
    for recipe in RECIPES:
        if recipe.style and any(word in recipe.path for word in only.split(",")):
            attached = train(model, vae, recipe, folder, steps)
            write(recipe, attached, out, steps)
            detach(model, attached)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("demo-training"))
    parser.add_argument("--out", type=Path, default=DEMO_LORAS)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--only", default="", help="words of the paths, joined by commas")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    main(args.folder, args.out, args.steps, args.only)
