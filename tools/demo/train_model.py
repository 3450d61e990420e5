"""Train the demo's UNet and text encoders on latents of drawn scenes, from an earlier demo on."""

from __future__ import annotations

import argparse
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch

from engine.demo import DEMO_MODEL
from tools.demo.denoiser import (
    LATENT_SIDE,
    Denoiser,
    arrange,
    encode_pictures,
    noise_schedule,
    random_times,
    snr_weights,
    start_from,
    tokenize,
)
from tools.demo.scenes import random_scene, render
from tools.demo.tokens import read_tokenizer, write_tokenizer

log = logging.getLogger("demo.model")

BATCH = 16
PEAK_RATE = 6e-4
WARM_UP = 60
FIRST_SCENES = 500
NEW_SCENES = 20
"""How many scenes are added to those known, every `NEW_EVERY` steps."""
NEW_EVERY = 8
SAVE_SECONDS = 150


class Average:
    """An exponential moving average of parameters that starts as a plain mean."""

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.model = model
        self.shadow = {name: p.detach().clone() for name, p in model.named_parameters()}

    def update(self) -> None:
        """Take the present parameters in."""
        self.steps += 1
        weight = max(1 - self.decay, 1 / (self.steps + 1))
        for name, parameter in self.model.named_parameters():
            self.shadow[name].lerp_(parameter.detach(), weight)


class Scenes:
    """Latents and token ids of the scenes drawn so far; the last ids are the empty prompt's."""

    def __init__(self, vae: torch.nn.Module, tokenizer_folder: Path, seed: int) -> None:
        self.vae = vae
        self.rng = np.random.default_rng(seed)
        self.tokenizers = [read_tokenizer(tokenizer_folder) for _ in range(2)]
        empty = self._ids([""])
        self.empty = empty[0][0], empty[1][0]
        self.latents = torch.empty(0, 4, LATENT_SIDE, LATENT_SIDE)
        self.ids = empty[0][:0], empty[1][:0]

    def _ids(self, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        first, second = self.tokenizers
        return tokenize(first, captions), tokenize(second, captions, pad="!")

    def draw(self, count: int) -> None:
        """Add newly drawn scenes."""
        scenes = [random_scene(self.rng) for _ in range(count)]
        pictures = torch.from_numpy(np.stack([np.asarray(render(scene)) for scene in scenes]))
        latents = encode_pictures(self.vae, pictures.permute(0, 3, 1, 2))
        ids = self._ids([scene.caption(self.rng) for scene in scenes])
        self.latents = torch.cat([self.latents, latents])
        self.ids = torch.cat([self.ids[0], ids[0]]), torch.cat([self.ids[1], ids[1]])

    def batch(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latents and token ids of random scenes, one in ten with the empty prompt."""
        pick = torch.randint(len(self.latents), (count,))
        silent = torch.rand(count, 1) < 0.1
        first, second = (
            torch.where(silent, empty, ids[pick])
            for empty, ids in zip(self.empty, self.ids, strict=True)
        )
        return self.latents[pick], first, second


def train(minutes: float, out: Path, checkpoint: Path) -> None:
    """Train for so many minutes in all; what an interrupted run left in `out` is gone on with."""
    state_file = out / "state.pt"
    saved = torch.load(state_file) if state_file.exists() else None
    seed = 0 if saved is None else saved["step"]
    torch.manual_seed(seed)
    write_tokenizer(out / "tokenizer")
    tokenizer = read_tokenizer(out / "tokenizer")
    model = Denoiser(tokenizer)
    vae = start_from(model, tokenizer, checkpoint)
    vae.save_pretrained(out / "vae")
    arrange(vae, torch.channels_last)
    arrange(model, torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98))
    average = Average(model, decay=0.995)
    step, spent = 0, 0.0
    if saved is not None:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        average.shadow, average.steps = saved["average"], saved["step"]
        step, spent = saved["step"], saved["spent"]
    scenes = Scenes(vae, out / "tokenizer", seed + 11)
    if saved is None:
        scenes.draw(FIRST_SCENES)
    else:
        scenes.latents, scenes.ids = saved["latents"], saved["ids"]
    schedule = noise_schedule()
    weights = snr_weights(schedule)
    log.info("encoded %d pictures", len(scenes.latents))
    smooth, begun, saved_at = 0.05, time.monotonic() - spent, time.monotonic()
    while spent < 60 * minutes:
        progress = spent / (60 * minutes)
        decayed = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * min(1.0, (step + 1) / WARM_UP) * decayed
        if step % NEW_EVERY == 0:
            scenes.draw(NEW_SCENES)
        clean, ids_1, ids_2 = scenes.batch(BATCH)
        noise, t = torch.randn_like(clean), random_times(BATCH)
        predicted = model(schedule.add_noise(clean, noise, t), t, ids_1, ids_2)
        errors = (predicted - noise).square().mean(dim=(1, 2, 3))
        loss = (errors * weights[t]).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update()
        smooth += (errors.mean().item() - smooth) / 100
        step, spent = step + 1, time.monotonic() - begun
        if step % 10 == 0:
            log.info(
                "%.3f step %d loss %.4f %d scenes", progress, step, smooth, len(scenes.latents)
            )
        if time.monotonic() - saved_at > SAVE_SECONDS or spent >= 60 * minutes:
            saved_at = time.monotonic()
            torch.save(average.shadow, out / "model.pt")
            torch.save(
                {
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": average.shadow,
                    "step": step,
                    "spent": spent,
                    "latents": scenes.latents,
                    "ids": scenes.ids,
                },
                state_file,
            )
    log.info("finished after %d steps, loss %.4f", step, smooth)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--out", type=Path, default=Path("demo-training"))
    parser.add_argument("--checkpoint", type=Path, default=DEMO_MODEL, help="where to start")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(args.minutes, args.out, args.checkpoint)
