"""Train the demo's VAE (SDXL's structure, 8x smaller latents, 4 channels) on drawn scenes."""

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
from tools.demo.scenes import SIZE
from tools.demo.styles import STYLES

log = logging.getLogger("demo.vae")

PEAK_RATE = 4e-4
NOISE = 0.1
"""Standard deviation added to the latents: what the decoder learns to bear."""

CONFIG = {
    "block_out_channels": [24, 48, 64, 96],
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "sample_size": SIZE,
}


def build_vae() -> AutoencoderKL:
    """Build an untrained VAE of the demo's size."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        force_upcast=True,
        **CONFIG,
    )


def reconstruction_loss(decoded: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Absolute and squared error, the error of the gradients (edges) and of 8x8 means (colours)."""
    error = decoded - target
    edges_x = (error[..., :, 1:] - error[..., :, :-1]).abs().mean()
    edges_y = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    colours = functional.avg_pool2d(error, 8).abs().mean()
    return error.abs().mean() + error.square().mean() + 0.5 * (edges_x + edges_y) + colours


def start_as_mean_colours(vae: AutoencoderKL) -> None:
    """Initialise the VAE so that it already passes each 8x8 block's mean colour through.

    Residual branches start at zero; the first three channels carry RGB straight on, averaged on
    the way down and repeated on the way up. The other channels start as constants of both signs:
    they hold the statistics of the two output normalisations steady, which would otherwise take
    the absolute colours away (why such small VAEs learn colours so late).
    """

    def carry(conv: torch.nn.Conv2d, tap: float, rows: slice = slice(None)) -> None:
        weight = torch.zeros_like(conv.weight)
        side = weight.shape[-1]
        for channel in range(min(weight.shape[:2])):
            weight[channel, channel, rows, rows] = tap
        if side == 1 or conv.weight.shape[0] == conv.weight.shape[1]:
            conv.weight.copy_(weight + 0.05 * conv.weight)
        else:
            conv.weight.copy_(weight)

    with torch.no_grad():
        for name, module in vae.named_modules():
            if name.endswith(("conv2", "to_out.0")):
                torch.nn.init.zeros_(module.weight)
                torch.nn.init.zeros_(module.bias)
            elif name.endswith("conv_shortcut"):
                carry(module, 1.0)
            elif "downsamplers" in name and name.endswith("conv"):
                carry(module, 0.25, slice(0, 2))
            elif "upsamplers" in name and name.endswith("conv"):
                carry(module, 1.0, slice(1, 2))
        for half in (vae.encoder, vae.decoder):
            width = half.conv_in.weight.shape[0]
            half.conv_in.weight.mul_(0.1)
            signs = torch.tensor([1.0, -1.0]).repeat(width // 2)
            half.conv_in.bias.copy_(1.5 * signs)
            half.conv_in.bias[:3] = 0
            for channel in range(3):
                half.conv_in.weight[channel] = 0
                half.conv_in.weight[channel, channel, 1, 1] = 1
            half.conv_norm_out.bias[:3] = 3.0
            half.conv_out.weight.mul_(0.1)
            for channel in range(3):
                half.conv_out.weight[channel] = 0
                half.conv_out.weight[channel, channel, 1, 1] = 1.5
                half.conv_out.bias[channel] = -4.3
        for conv in (vae.quant_conv, vae.post_quant_conv):
            carry(conv, 1.0)


def _fix_variance(vae: AutoencoderKL) -> None:
    """Let the posterior report the noise the decoder was trained with, for every latent alike."""
    channels = vae.config.latent_channels
    with torch.no_grad():
        vae.quant_conv.weight[channels:] = 0
        vae.quant_conv.bias[channels:] = 2 * math.log(NOISE)


def train(minutes: float, out: Path, seed: int = 0) -> None:
    """Train for a while and save a diffusers folder; `scaling_factor` is measured last.

    Crops of 32 pixels for the first quarter, 64 until nine tenths, then whole pictures in float32,
    which sets the colours right: bfloat16 has eight bits, and the attention in the middle has
    seen only crops until then.
    """
    torch.manual_seed(seed)
    plain, _ = draw_pictures(5000, seed=1)
    styled = [draw_pictures(500, seed=2, style=name)[0] for name in STYLES]
    pictures = torch.cat([plain, *styled])
    log.info("drew %d pictures", len(pictures))

    vae = build_vae()
    start_as_mean_colours(vae)
    optimizer = torch.optim.Adam(vae.parameters(), lr=PEAK_RATE, betas=(0.9, 0.99))
    step, progress, start = 0, 0.0, time.monotonic()
    while progress < 1:
        rate = min(1.0, step / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * rate
        side = 32 if progress < 0.25 else 64 if progress < 0.9 else SIZE
        batch = to_unit(pictures[torch.randint(len(pictures), (4 if side == SIZE else 16,))])
        x, y = torch.randint(0, SIZE + 1 - side, (2,)).tolist()
        batch = batch[..., y : y + side, x : x + side].contiguous()
        with torch.autocast("cpu", torch.bfloat16, enabled=side < SIZE):
            mean = vae.encode(batch).latent_dist.mean
            decoded = vae.decode(mean + NOISE * torch.randn_like(mean)).sample
        loss = reconstruction_loss(decoded.float(), batch) + 1e-3 * mean.float().square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            error = (decoded.float() - batch).abs().mean().item()
            log.info("%.3f step %d loss %.4f L1 %.4f", progress, step, loss.item(), error)
        step += 1
        progress = (time.monotonic() - start) / (60 * minutes)
        if step % 1000 == 0:
            vae.save_pretrained(out)
    _fix_variance(vae)
    vae.eval()
    with torch.no_grad():
        latents = torch.cat(
            [vae.encode(to_unit(b)).latent_dist.mean for b in plain[:1000].chunk(20)]
        )
    vae.register_to_config(scaling_factor=round(1 / latents.std().item(), 5))
    vae.save_pretrained(out)
    log.info("scaling factor %.5f", vae.config.scaling_factor)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--out", type=Path, default=Path("demo-training/vae"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(args.minutes, args.out)
