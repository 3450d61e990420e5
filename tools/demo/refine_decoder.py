"""Sharpen the VAE's decoder with the encoder as it is, so that trained latents stay valid."""

from __future__ import annotations

import argparse
import logging
import math
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from torch.nn import functional

from tools.demo.data import draw_pictures, to_unit
from tools.demo.denoiser import LATENT_SIDE, arrange, encode_pictures
from tools.demo.styles import STYLES

log = logging.getLogger("demo.decoder")

PEAK_RATE = 6e-4
NOISE = 0.05
"""Standard deviation added to the unscaled latents."""
SIDE = 8
"""Latents a side of a crop: 64 pixels."""
CROPS = 12


def sharp_loss(decoded: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Absolute errors of pixels, of edges at two scales and of 8x8 means (colours).

    Nothing is squared: a squared error is least for the mean of what may be there: a blur.
    """
    error = decoded - target
    edges = torch.zeros(())
    for step in (1, 2):
        edges = edges + (error[..., :, step:] - error[..., :, :-step]).abs().mean()
        edges = edges + (error[..., step:, :] - error[..., :-step, :]).abs().mean()
    return error.abs().mean() + 0.7 * edges + functional.avg_pool2d(error, 8).abs().mean()


def busiest_crop(picture: torch.Tensor, tries: int) -> tuple[int, int]:
    """Of some random crops of a uint8 picture, where the one with the most contrast begins.

    Counted in latents, (row, column).
    """
    corners = torch.randint(0, LATENT_SIDE + 1 - SIDE, (tries, 2)).tolist()

    def contrast(corner: list[int]) -> float:
        y, x = corner
        crop = picture[:, 8 * y : 8 * (y + SIDE) : 2, 8 * x : 8 * (x + SIDE) : 2].float()
        return (crop[..., 1:] - crop[..., :-1]).abs().mean().item()

    y, x = max(corners, key=contrast)
    return y, x


def refine(minutes: float, folder: Path, out: Path, seed: int = 0) -> None:
    """Train the decoder for a while, on crops of whole pictures' latents, whole ones at the end."""
    torch.manual_seed(seed)
    vae = AutoencoderKL.from_pretrained(folder)
    arrange(vae, torch.channels_last)
    plain, _ = draw_pictures(800, seed=7)
    styled = [draw_pictures(100, seed=8, style=name)[0] for name in STYLES]
    pictures = torch.cat([plain, *styled])
    latents = encode_pictures(vae, pictures) / vae.config.scaling_factor
    log.info("encoded %d pictures", len(pictures))
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    parameters = [p for p in vae.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=PEAK_RATE, betas=(0.9, 0.99))
    step, progress, smooth, start = 0, 0.0, 0.05, time.monotonic()
    while progress < 1:
        rate = min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * rate
        if progress > 0.9:
            pick = torch.randint(len(pictures), (2,))
            z, raw = latents[pick], pictures[pick]
        else:
            picked = []
            for number in torch.randint(len(pictures), (CROPS,)).tolist():
                y, x = busiest_crop(pictures[number], tries=3)
                side = 8 * SIDE
                picked.append(
                    (
                        latents[number, :, y : y + SIDE, x : x + SIDE],
                        pictures[number, :, 8 * y : 8 * y + side, 8 * x : 8 * x + side],
                    )
                )
            z, raw = (torch.stack(tensors) for tensors in zip(*picked, strict=True))
        target = to_unit(raw)
        decoded = vae.decode(z + NOISE * torch.randn_like(z)).sample
        loss = sharp_loss(decoded, target)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        smooth += ((decoded - target).abs().mean().item() - smooth) / 50
        if step % 50 == 0:
            log.info("%.3f step %d L1 %.4f", progress, step, smooth)
        if step % 300 == 0:
            vae.save_pretrained(out)
        step += 1
        progress = (time.monotonic() - start) / (60 * minutes)
    vae.save_pretrained(out)
    log.info("finished after %d steps, L1 %.4f", step, smooth)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--folder", type=Path, default=Path("demo-training/vae"))
    parser.add_argument("--out", type=Path, default=Path("demo-training/vae-sharp"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    refine(args.minutes, args.folder, args.out)
