"""A tiny SDXL pipeline with seeded random weights; its tokenizer knows bytes and a few words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from engine.generate.quiet import quiet_libraries
from engine.generate.run import GeneratedPicture, generate
from engine.protocol.request import GenerateRequest

SDXL_SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "timestep_spacing": "leading",
    "steps_offset": 1,
}


def make_tokenizer(pad_token: str) -> CLIPTokenizer:
    merges = [("f", "o"), ("fo", "x</w>"), ("r", "e"), ("re", "d</w>"), ("c", "a"), ("ca", "t</w>")]
    alphabet = list(bytes_to_unicode().values())
    tokens = [*alphabet, *(c + "</w>" for c in alphabet), *("".join(pair) for pair in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77, pad_token=pad_token)


def make_pipeline() -> StableDiffusionXLPipeline:
    torch.manual_seed(0)
    tokenizer = make_tokenizer("<|endoftext|>")
    ids = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
    }
    first = CLIPTextConfig(**ids, hidden_size=8, intermediate_size=16, projection_dim=8)
    second = CLIPTextConfig(**ids, hidden_size=16, intermediate_size=16, projection_dim=12)
    unet = UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=(1, 2),
        cross_attention_dim=24,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=12 + 6 * 4,
        sample_size=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(4, 4, 4, 4),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=2,
        layers_per_block=1,
        scaling_factor=0.13025,
        force_upcast=False,
    )
    return StableDiffusionXLPipeline(
        vae=vae.eval(),
        text_encoder=CLIPTextModel(first).eval(),
        text_encoder_2=CLIPTextModelWithProjection(second).eval(),
        tokenizer=tokenizer,
        tokenizer_2=make_tokenizer("!"),
        unet=unet.eval(),
        scheduler=EulerDiscreteScheduler(**SDXL_SCHEDULER),
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors: more threads only get in each other's way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def half_pipe() -> StableDiffusionXLPipeline:
    quiet_libraries()
    return make_pipeline().to(torch.float16)


@pytest.fixture(scope="session")
def pipe() -> StableDiffusionXLPipeline:
    quiet_libraries()
    return make_pipeline()


@pytest.fixture
def draw(pipe: StableDiffusionXLPipeline) -> Callable[..., list[GeneratedPicture]]:
    """Generate a request and return its pictures; keywords go to `generate`."""

    def run(request: GenerateRequest, **options: Any) -> list[GeneratedPicture]:
        pictures: list[GeneratedPicture] = []
        quiet = {"cancelled": lambda: False, "on_step": lambda *_: None}
        generate(pipe, request, **{**quiet, **options}, on_picture=pictures.append)
        return pictures

    return run


@pytest.fixture
def request_of(tmp_path: Path) -> Any:
    """Build a small, quick request; keywords override."""

    def build(**settings: Any) -> GenerateRequest:
        quick = {
            "prompt": "a red fox",
            "output": tmp_path,
            "seed": 7,
            "steps": 3,
            "width": 64,
            "height": 64,
            "sampler": "Euler",
            "schedule": "Automatic",
        }
        return GenerateRequest(**{**quick, **settings})

    return build
