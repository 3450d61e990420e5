"""UNet and text encoders of SDXL's structure, of about 100,000 seeded weights."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

_TEXT = {"vocab_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "bos_token_id": 30,
         "eos_token_id": 31, "pad_token_id": 31}  # fmt: skip


def make_parts(dtype: torch.dtype = torch.float32) -> dict[str, nn.Module]:
    """Make the three parts that LoRAs change, in `dtype`, with the same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            block_out_channels=(16, 32, 32),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=2,
            transformer_layers_per_block=(1, 1, 2),
            attention_head_dim=(1, 2, 2),
            norm_num_groups=4,
            cross_attention_dim=16 + 32,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=32 + 6 * 4,
            sample_size=8,
        )
        first = CLIPTextConfig(**_TEXT, hidden_size=16, intermediate_size=32, projection_dim=16)
        second = CLIPTextConfig(**_TEXT, hidden_size=32, intermediate_size=64, projection_dim=32)
        parts = {
            "unet": unet,
            "text_encoder": CLIPTextModel(first),
            "text_encoder_2": CLIPTextModelWithProjection(second),
        }
        for module in parts.values():
            for parameter in module.parameters():
                # Norms start as ones and biases as zeros, which would hide a mistake.
                if parameter.dim() == 1:
                    parameter.data += 0.1 * torch.randn_like(parameter)
                parameter.requires_grad_(False)
    return {name: module.to(dtype).eval() for name, module in parts.items()}
