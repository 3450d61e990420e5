"""Write the trained demo as an ordinary single-file SDXL checkpoint in the original layout."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save, save_file
from torch import nn
from torch.nn import functional

from engine.checkpoint.config import METADATA_KEY
from engine.checkpoint.write import original_tensors
from engine.demo import DEMO_MODEL
from engine.sdxl.layout import Part
from tools.demo.data import draw_pictures, to_unit
from tools.demo.denoiser import TEXT_1, TEXT_2, UNET, Denoiser, arrange, encode_pictures
from tools.demo.scenes import SIZE
from tools.demo.tokens import read_tokenizer
from tools.demo.train_vae import CONFIG as VAE_CONFIG


def load_trained(folder: Path) -> tuple[Denoiser, AutoencoderKL]:
    """Open what `train_model` and `refine_decoder` left in their folder."""
    model = Denoiser(read_tokenizer(folder / "tokenizer"))
    model.load_state_dict(torch.load(folder / "model.pt", weights_only=True), strict=False)
    vae = AutoencoderKL.from_pretrained(folder / "vae-sharp")
    for module in (model, vae):
        arrange(module, torch.channels_last)
    return model.eval(), vae.eval()


@torch.no_grad()
def fit_latent_rgb(vae: AutoencoderKL) -> dict[str, Any]:
    """Least-squares map from scaled latents to the mean colours of their 8x8 blocks, in -1..1."""
    pictures, _ = draw_pictures(100, seed=9)
    latents = encode_pictures(vae, pictures).permute(0, 2, 3, 1).reshape(-1, 4)
    colours = functional.avg_pool2d(to_unit(pictures), 8).permute(0, 2, 3, 1).reshape(-1, 3)
    design = torch.cat([latents, torch.ones(len(latents), 1)], dim=1)
    solution = torch.linalg.lstsq(design, colours).solution
    rows = [[round(value, 4) for value in row] for row in solution.tolist()]
    return {"factors": rows[:4], "bias": rows[4]}


def config_metadata(model: Denoiser, vae: AutoencoderKL) -> dict[str, dict[str, Any]]:
    """What differs from SDXL's configuration, for the header's metadata."""
    special = {
        name: getattr(model.text_encoder.config, name)
        for name in ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id")
    }
    return {
        "unet": dict(UNET),
        "vae": {**VAE_CONFIG, "scaling_factor": vae.config.scaling_factor},
        "text_encoder": {**TEXT_1, **special},
        "text_encoder_2": {**TEXT_2, **special},
        "latent_rgb": fit_latent_rgb(vae),
    }


def save_with_hash(
    tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str], key: str
) -> None:
    """Write a safetensors file whose metadata holds the SHA-256 of its tensor bytes under `key`."""
    raw = save(tensors, metadata)
    start = 8 + int.from_bytes(raw[:8], "little")
    digest = hashlib.sha256(raw[start:]).hexdigest()
    prefix = "0x" if key == "modelspec.hash_sha256" else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, {**metadata, key: prefix + digest})


def export(folder: Path, out: Path) -> None:
    """Write the checkpoint and, beside it, its tokenizer."""
    model, vae = load_trained(folder)
    parts: dict[Part, nn.Module] = {
        "unet": model.unet,
        "text_encoder": model.text_encoder,
        "text_encoder_2": model.text_encoder_2,
        "vae": vae,
    }
    for module in parts.values():
        arrange(module, torch.contiguous_format)
    metadata = {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-xl-v1-base",
        "modelspec.title": "loraswitch demo",
        "modelspec.description": "A tiny SDXL trained on drawn scenes.",
        "modelspec.license": "Apache-2.0",
        "modelspec.resolution": f"{SIZE}x{SIZE}",
        "modelspec.prediction_type": "epsilon",
        METADATA_KEY: json.dumps(config_metadata(model, vae)),
    }
    save_with_hash(original_tensors(parts), out, metadata, "modelspec.hash_sha256")
    shutil.copytree(folder / "tokenizer", out.parent / "tokenizer", dirs_exist_ok=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("demo-training"))
    parser.add_argument("--out", type=Path, default=DEMO_MODEL)
    args = parser.parse_args()
    export(args.folder, args.out)
