"""Sharpen the VAE's decoder with the encoder as it is, so that trained latents stay valid."""

from __future__ import annotations

import argparse
import logging
import math
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from engine.demo.training.data import draw_pictures, to_unit
from engine.demo.training.styles import STYLES
from engine.demo.training.train_model import encode_pictures
from engine.demo.training.train_vae import reconstruction_loss

log = logging.getLogger("demo.decoder")

PEAK_RATE = 6e-4
NOISE = 0.05
"""Standard deviation added to the unscaled latents."""
SIDE = 8
"""Latents a side of a crop: 64 pixels."""


def refine(minutes: float, folder: Path, seed: int = 0) -> None:
    """Train the decoder for a while on crops of whole pictures' latents and save it in place."""
    torch.manual_seed(seed)
    vae = AutoencoderKL.from_pretrained(folder)
    plain, _ = draw_pictures(4000, seed=7)
    styled = [draw_pictures(200, seed=8, style=name)[0] for name in STYLES]
    pictures = torch.cat([plain, *styled])
    latents = encode_pictures(vae, pictures) / vae.config.scaling_factor
    log.info("encoded %d pictures", len(pictures))
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    parameters = [p for p in vae.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=PEAK_RATE, betas=(0.9, 0.99))
    step, progress, smooth, start = 0, 0.0, 0.1, time.monotonic()
    while progress < 1:
        whole = progress > 0.9
        side = 16 if whole else SIDE
        rate = min(1.0, step / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * rate
        pick = torch.randint(len(pictures), (4 if whole else 12,))
        x, y = torch.randint(0, 17 - side, (2,)).tolist()
        z = latents[pick, :, y : y + side, x : x + side]
        target = to_unit(pictures[pick, :, 8 * y : 8 * (y + side), 8 * x : 8 * (x + side)])
        with torch.autocast("cpu", torch.bfloat16, enabled=not whole):
            decoded = vae.decode(z + NOISE * torch.randn_like(z)).sample
        loss = reconstruction_loss(decoded.float(), target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        smooth += ((decoded.float() - target).abs().mean().item() - smooth) / 100
        if step % 100 == 0:
            log.info("%.3f step %d L1 %.4f", progress, step, smooth)
        step += 1
        progress = (time.monotonic() - start) / (60 * minutes)
    vae.save_pretrained(folder)
    log.info("finished after %d steps, L1 %.4f", step, smooth)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--folder", type=Path, default=Path("demo-training/vae"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    refine(args.minutes, args.folder)
