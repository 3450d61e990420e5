"""Train the demo's UNet and both text encoders from nothing on latents of drawn scenes."""

from __future__ import annotations

import argparse
import logging
import math
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from engine.demo.training.data import draw_pictures, to_unit
from engine.demo.training.tokens import read_tokenizer, write_tokenizer

log = logging.getLogger("demo.model")

UNET = {
    "block_out_channels": [48, 72, 80],
    "transformer_layers_per_block": [1, 1, 2],
    "attention_head_dim": [2, 3, 4],
    "norm_num_groups": 8,
    "cross_attention_dim": 160,
    "addition_time_embed_dim": 32,
    "projection_class_embeddings_input_dim": 96 + 6 * 32,
    "sample_size": 16,
}
TEXT_1 = {
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "projection_dim": 64,
}
TEXT_2 = {
    "hidden_size": 96,
    "intermediate_size": 384,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "projection_dim": 96,
}
TIME_IDS = (128.0, 128.0, 0.0, 0.0, 128.0, 128.0)


class Denoiser(torch.nn.Module):
    """UNet and text encoders wired as SDXL's pipeline wires them."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        ids = {
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.eos_token_id,
        }
        self.text_encoder = CLIPTextModel(CLIPTextConfig(**ids, **TEXT_1))
        self.text_encoder_2 = CLIPTextModelWithProjection(
            CLIPTextConfig(**ids, **TEXT_2, hidden_act="gelu")
        )
        self.unet = UNet2DConditionModel(
            in_channels=4,
            out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=2,
            use_linear_projection=True,
            addition_embed_type="text_time",
            **UNET,
        )

    def encode(self, ids_1: torch.Tensor, ids_2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Penultimate states of both encoders side by side [n, 77, 160] and the pooled [n, 96]."""
        first = self.text_encoder(ids_1, output_hidden_states=True)
        second = self.text_encoder_2(ids_2, output_hidden_states=True)
        states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        return states, second.text_embeds

    def forward(
        self, noisy: torch.Tensor, t: torch.Tensor, ids_1: torch.Tensor, ids_2: torch.Tensor
    ) -> torch.Tensor:
        states, pooled = self.encode(ids_1, ids_2)
        time_ids = torch.tensor(TIME_IDS).expand(len(noisy), 6)
        added = {"text_embeds": pooled, "time_ids": time_ids}
        predicted: torch.Tensor = self.unet(noisy, t, states, added_cond_kwargs=added).sample
        return predicted


def noise_schedule() -> DDPMScheduler:
    """SDXL's training schedule: 1000 scaled-linear steps from 0.00085 to 0.012, epsilon."""
    return DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


def tokenize(tokenizer: CLIPTokenizer, captions: list[str], pad: str | None = None) -> torch.Tensor:
    """Token ids [n, 77]; the second encoder of SDXL pads with `!`."""
    if pad is not None:
        tokenizer.pad_token = pad
    tokens = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt")
    ids: torch.Tensor = tokens.input_ids
    return ids


@torch.no_grad()
def encode_pictures(vae: AutoencoderKL, pictures: torch.Tensor) -> torch.Tensor:
    """Scaled latents [n, 4, 16, 16] of uint8 pictures."""
    batches = [
        vae.encode(to_unit(part)).latent_dist.mean
        for part in pictures.chunk(-(-len(pictures) // 50))
    ]
    scale: float = vae.config.scaling_factor
    return torch.cat(batches) * scale


def snr_weights(schedule: DDPMScheduler, gamma: float = 20.0) -> torch.Tensor:
    """Min-SNR loss weights for epsilon prediction (Hang et al. 2023, arXiv:2303.09556).

    The paper's 5 leaves mottled backgrounds here: flat colours need the nearly clean steps.
    """
    snr = schedule.alphas_cumprod / (1 - schedule.alphas_cumprod)
    weights: torch.Tensor = snr.clamp(max=gamma) / snr
    return weights


class Average:
    """An exponential moving average of parameters that starts as a plain mean."""

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.model = model
        self.shadow = {name: p.detach().clone() for name, p in model.named_parameters()}

    def update(self) -> None:
        self.steps += 1
        weight = max(1 - self.decay, 1 / (self.steps + 1))
        for name, parameter in self.model.named_parameters():
            self.shadow[name].lerp_(parameter.detach(), weight)


def train(steps: int, minutes: float, out: Path, vae_folder: Path, resume: bool) -> None:
    """Train until `steps` are done or `minutes` have passed; the rate decays on the way there.

    `resume` starts from the averaged weights that an earlier run left in `out`, on new pictures.
    """
    torch.manual_seed(1 if resume else 0)
    vae = AutoencoderKL.from_pretrained(vae_folder).eval()
    write_tokenizer(out / "tokenizer")
    tokenizer = read_tokenizer(out / "tokenizer")
    pictures, captions = draw_pictures(20_000, seed=4 if resume else 3)
    latents = encode_pictures(vae, pictures)
    del pictures
    captions.append("")
    ids_1 = tokenize(tokenizer, captions)
    ids_2 = tokenize(read_tokenizer(out / "tokenizer"), captions, pad="!")
    empty = len(captions) - 1
    log.info("encoded %d pictures", len(latents))

    model = Denoiser(tokenizer)
    if resume:
        model.load_state_dict(torch.load(out / "model.pt"))
    schedule = noise_schedule()
    weights = snr_weights(schedule)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.98), weight_decay=1e-3)
    average = Average(model, decay=0.999)
    smooth, start = 1.0, time.monotonic()
    step, progress = 0, 0.0
    while progress < 1:
        rate = min(1.0, step / 300) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = 6e-4 * rate
        pick = torch.randint(len(latents), (24,))
        words = torch.where(torch.rand(24) < 0.1, empty, pick)
        clean, noise = latents[pick], torch.randn(24, 4, 16, 16)
        t = torch.randint(1000, (24,))
        noisy = schedule.add_noise(clean, noise, t)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = model(noisy, t, ids_1[words], ids_2[words])
        errors = (predicted.float() - noise).square().mean(dim=(1, 2, 3))
        loss = (errors * weights[t]).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update()
        smooth += (errors.mean().item() - smooth) / 200
        if step % 200 == 0:
            seconds = time.monotonic() - start
            log.info("step %d loss %.4f %.2f s/step", step, smooth, seconds / (step + 1))
        step += 1
        progress = max(step / steps, (time.monotonic() - start) / (60 * minutes))
        if step % 1000 == 0 or progress >= 1:
            torch.save(average.shadow, out / "model.pt")
    log.info("finished after %d steps, loss %.4f", step, smooth)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--out", type=Path, default=Path("demo-training"))
    parser.add_argument("--vae", type=Path, default=Path("demo-training/vae"))
    parser.add_argument("--resume", action="store_true", help="go on from OUT/model.pt")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(args.steps, args.minutes, args.out, args.vae, args.resume)
