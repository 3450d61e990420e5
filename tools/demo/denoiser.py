"""The network that is trained: SDXL's UNet and both text encoders in small."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from engine.checkpoint import open_checkpoint
from tools.demo.data import to_unit
from tools.demo.scenes import SIZE

LATENT_SIDE = SIZE // 8

UNET = {
    "block_out_channels": [48, 72, 80],
    "transformer_layers_per_block": [1, 1, 2],
    "attention_head_dim": [2, 3, 4],
    "norm_num_groups": 8,
    "cross_attention_dim": 160,
    "addition_time_embed_dim": 32,
    "projection_class_embeddings_input_dim": 96 + 6 * 32,
    "sample_size": LATENT_SIDE,
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
TIME_IDS = (float(SIZE), float(SIZE), 0.0, 0.0, float(SIZE), float(SIZE))
TRAINED_PARTS = ("unet", "text_encoder", "text_encoder_2")


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

    def denoise(
        self, noisy: torch.Tensor, t: torch.Tensor, states: torch.Tensor, pooled: torch.Tensor
    ) -> torch.Tensor:
        """The UNet's output for encoded prompts."""
        time_ids = torch.tensor(TIME_IDS).expand(len(noisy), 6)
        added = {"text_embeds": pooled, "time_ids": time_ids}
        predicted: torch.Tensor = self.unet(noisy, t, states, added_cond_kwargs=added).sample
        return predicted

    def forward(
        self, noisy: torch.Tensor, t: torch.Tensor, ids_1: torch.Tensor, ids_2: torch.Tensor
    ) -> torch.Tensor:
        return self.denoise(noisy, t, *self.encode(ids_1, ids_2))


def start_from(model: Denoiser, tokenizer: CLIPTokenizer, checkpoint: Path) -> AutoencoderKL:
    """Take over a checkpoint's weights, its words' vectors by the words; return its VAE."""
    pipe = open_checkpoint(checkpoint, device="cpu", dtype=torch.float32).pipeline
    old_ids, new_ids = pipe.tokenizer.get_vocab(), tokenizer.get_vocab()
    known = [token for token in new_ids if token in old_ids]
    rows = torch.tensor([new_ids[token] for token in known])
    old_rows = torch.tensor([old_ids[token] for token in known])
    with torch.no_grad():
        for part in TRAINED_PARTS:
            target = model.get_submodule(part)
            state = getattr(pipe, part).state_dict()
            for name in [name for name in state if name.endswith("token_embedding.weight")]:
                words = target.get_parameter(name).detach().clone()
                words[rows] = state[name][old_rows]
                state[name] = words
            target.load_state_dict(state)
    vae: AutoencoderKL = pipe.vae
    return vae


def arrange(module: torch.nn.Module, layout: torch.memory_format) -> None:
    """Lay the kernels of convolutions out in memory; `channels_last` is quicker on CPUs."""
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)


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
    """Scaled latents [n, 4, 24, 24] of uint8 pictures."""
    batches = [
        vae.encode(to_unit(part)).latent_dist.mean
        for part in pictures.chunk(-(-len(pictures) // 20))
    ]
    scale: float = vae.config.scaling_factor
    return torch.cat(batches) * scale


def snr_weights(schedule: DDPMScheduler, gamma: float = 20.0) -> torch.Tensor:
    """Min-SNR loss weights for epsilon prediction (Hang et al. 2023, arXiv:2303.09556).

    The paper's 5 leaves mottled backgrounds here: flat colours need the nearly clean steps. The
    noisiest steps, where it is settled what stands where, count up to eight times as much: in
    epsilon their errors are small.
    """
    snr = schedule.alphas_cumprod / (1 - schedule.alphas_cumprod)
    weights: torch.Tensor = snr.clamp(max=gamma) / snr * (1 + 1 / snr).clamp(max=8)
    return weights


def random_times(count: int) -> torch.Tensor:
    """Random timesteps, one from each of `count` equal stretches, so that batches differ less."""
    return ((torch.arange(count) + torch.rand(count)) / count * 1000).long()
