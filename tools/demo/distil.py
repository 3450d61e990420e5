"""Distil the guided demo model into a LoRA that needs four steps and no guidance.

Consistency distillation with the solver run to its end: at each of the sampler's four noise levels
the student learns to say in one jump where the teacher, guided, would end. (LCM, arXiv:2310.04378,
learns the same function by single steps of the solver, which takes many more updates.)
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler, LCMScheduler

from engine.demo import DEMO_LORAS
from tools.demo.adapt import attach, set_sign
from tools.demo.data import draw_pictures
from tools.demo.denoiser import Denoiser, encode_pictures, noise_schedule, tokenize
from tools.demo.export import load_trained
from tools.demo.lora_file import write
from tools.demo.recipes import RECIPES
from tools.demo.tokens import read_tokenizer

log = logging.getLogger("demo.distil")

BATCH = 8
PEAK_RATE = 3e-3
STEPS = 4
GUIDANCE = 5.0
TEACHER_STEPS = 10
SHARES = (0.4, 0.25, 0.2, 0.15)
"""How many of the examples begin at each of the sampler's noise levels, the noisiest first."""

SCALE = torch.tensor(0.1)


def sampler_times() -> torch.Tensor:
    """The timesteps at which the LCM sampler of four steps calls the model."""
    sampler = LCMScheduler.from_config(noise_schedule().config)
    sampler.set_timesteps(STEPS)
    times: torch.Tensor = sampler.timesteps.clone()
    return times


@torch.no_grad()
def teach(model: Denoiser, start: torch.Tensor, t: int, ids: list[torch.Tensor]) -> torch.Tensor:
    """Where the guided model's probability flow ends that passes `start` at time `t`.

    `ids` are the token ids of both tokenizers, of the prompts and then of the empty prompt.
    """
    states, pooled = model.encode(*ids)
    count = len(start)
    states = torch.cat([states[:count], states[-1:].expand(count, -1, -1)])
    pooled = torch.cat([pooled[:count], pooled[-1:].expand(count, -1)])
    solver = DPMSolverMultistepScheduler.from_config(noise_schedule().config)
    # As many steps as the way that is left deserves, the solver's own times below t.
    steps = max(3, round(TEACHER_STEPS * (t + 1) / 1000))
    times = torch.linspace(t, 0, steps + 1).round()[:-1].long().tolist()
    solver.set_timesteps(timesteps=times)
    latents = start
    for time_now in solver.timesteps:
        both = model.denoise(torch.cat([latents] * 2), time_now.expand(2 * count), states, pooled)
        said, silent = both.chunk(2)
        latents = solver.step(silent + GUIDANCE * (said - silent), time_now, latents).prev_sample
    return latents


def distil(folder: Path, out: Path, examples: int, steps: int) -> None:
    """Ask the teacher for `examples`, train the student on them for `steps`, write the LoRA."""
    recipe = next(recipe for recipe in RECIPES if recipe.usage)
    torch.manual_seed(4)
    model, vae = load_trained(folder)
    schedule, times = noise_schedule(), sampler_times()
    log.info("times %s", times.tolist())
    pictures, captions = draw_pictures(examples, seed=6)
    clean = encode_pictures(vae, pictures)
    texts = [*captions, ""]
    ids_1 = tokenize(read_tokenizer(folder / "tokenizer"), texts)
    ids_2 = tokenize(read_tokenizer(folder / "tokenizer"), texts, pad="!")
    level = torch.multinomial(torch.tensor(SHARES), len(clean), replacement=True)
    at = times[level]
    noise = torch.randn_like(clean)
    noisy = schedule.add_noise(clean, noise, at)
    noisy[level == 0] = noise[level == 0]  # where the sampler starts: nothing but noise
    goal = torch.empty_like(clean)
    for number, t in enumerate(times.tolist()):
        for rows in torch.split(torch.nonzero(level == number)[:, 0], BATCH):
            words = torch.cat([rows, torch.tensor([len(captions)])])
            goal[rows] = teach(model, noisy[rows], t, [ids_1[words], ids_2[words]])
        log.info("the teacher drew from %d", t)
    attached = attach(model, recipe)
    parameters = [p for factors in attached.values() for p in factors.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, weight_decay=0, betas=(0.9, 0.98))
    decay = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=steps, pct_start=0.1
    )
    set_sign(attached, 1.0)
    smooth, start = 1.0, time.monotonic()
    for step in range(steps):
        rows = torch.randint(len(clean), (BATCH,))
        alpha = schedule.alphas_cumprod[at[rows]].view(-1, 1, 1, 1)
        with torch.nn.utils.parametrize.cached():
            said = model(noisy[rows], at[rows], ids_1[rows], ids_2[rows])
            ends = (noisy[rows] - (1 - alpha).sqrt() * said) / alpha.sqrt()
            # Pseudo-Huber: a square near zero, an absolute error farther off.
            errors = ((ends - goal[rows]).square() + SCALE**2).sqrt() - SCALE
            loss = errors.mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        decay.step()
        smooth += (loss.item() - smooth) / min(50, step + 1)
        if step % 50 == 49:
            pace = (time.monotonic() - start) / (step + 1)
            log.info("step %d loss %.4f %.2f s/step", step + 1, smooth, pace)
    write(recipe, attached, out, steps)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("demo-training"))
    parser.add_argument("--out", type=Path, default=DEMO_LORAS)
    parser.add_argument("--examples", type=int, default=300)
    parser.add_argument("--steps", type=int, default=160)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    distil(args.folder, args.out, args.examples, args.steps)
