"""Checkpoints in every dtype they come in, alone and mixed, and in float8 with scales."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from engine.errors import CheckpointError
from tests.checkpoint.conftest import assert_same, open_float32, weights
from tests.support.tiny_checkpoint import rewrite_checkpoint

Tensors = dict[str, torch.Tensor]

HALVES = (torch.float16, torch.bfloat16)
WIDE = (torch.float32, torch.float64)
FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)
UNET = "model.diffusion_model."


def is_float8_weight(key: str, tensor: torch.Tensor) -> bool:
    """What converters to float8 store so: the matrices of the UNet and of text encoder 2."""
    return tensor.dim() >= 2 and key.startswith((UNET, "conditioner.embedders.1."))


@pytest.mark.parametrize("dtype", [*HALVES, *WIDE, *FLOAT8], ids=str)
def test_every_stored_dtype_is_converted_once(
    tiny_checkpoint: Path, tiny_weights: Tensors, tmp_path: Path, dtype: torch.dtype
) -> None:
    def cast(tensors: Tensors) -> None:
        tensors.update({key: tensor.to(dtype) for key, tensor in tensors.items()})

    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, cast)
    expected = {name: tensor.to(dtype).float() for name, tensor in tiny_weights.items()}
    assert_same(weights(open_float32(path)), expected)


def test_dtypes_mixed_within_one_file(
    tiny_checkpoint: Path, tiny_weights: Tensors, tmp_path: Path
) -> None:
    def mix(tensors: Tensors) -> None:
        for key, dtype in zip(tensors, itertools.cycle((*HALVES, *WIDE, *FLOAT8)), strict=False):
            tensors[key] = tensors[key].to(torch.float8_e5m2).to(dtype)

    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, mix)
    expected = {name: tensor.to(torch.float8_e5m2).float() for name, tensor in tiny_weights.items()}
    found = weights(open_float32(path))
    wrong = [
        name
        for name, tensor in expected.items()
        # All dtypes hold e5m2's values, but e4m3, which ends at 2**-9.
        if not torch.allclose(found[name], tensor, rtol=0, atol=2**-10)
    ]
    assert wrong == []


@pytest.mark.parametrize("dtype", FLOAT8, ids=str)
@pytest.mark.parametrize(("name", "extra"), [("scale_weight", "scaled_fp8"), ("weight_scale", "")])
def test_float8_with_a_scale_beside_each_weight(
    tiny_checkpoint: Path, tmp_path: Path, dtype: torch.dtype, name: str, extra: str
) -> None:
    """ComfyUI's files: the weight is the float8 value times a number of its own."""
    scaled: Tensors = {}

    def quantise(tensors: Tensors) -> None:
        for number, (key, tensor) in enumerate(list(tensors.items())):
            if is_float8_weight(key, tensor) and key.endswith(".weight"):
                scale = torch.tensor(0.01 + 0.001 * number)
                tensors[key] = (tensor.float() / scale).to(dtype)
                tensors[key.removesuffix("weight") + name] = scale
                tensors[key.removesuffix("weight") + "scale_input"] = torch.tensor(1.0)
                scaled[key] = tensors[key].float() * scale
        if extra:
            tensors[extra] = torch.zeros(2, dtype=dtype)

    model = open_float32(rewrite_checkpoint(tiny_checkpoint, tmp_path, quantise))
    found = weights(model)
    projection = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    key = f"{UNET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
    assert torch.equal(found[f"unet.{projection}"], scaled[key])
    fc1 = "text_model.encoder.layers.1.mlp.fc1.weight"
    key = "conditioner.embedders.1.model.transformer.resblocks.1.mlp.c_fc.weight"
    assert torch.equal(found[f"text_encoder_2.{fc1}"], scaled[key])
    assert model.source is not None
    assert torch.equal(model.source.read("text_encoder_2", fc1), scaled[key])


def block_scale(tensors: Tensors) -> None:
    key = f"{UNET}time_embed.0.weight"
    tensors[key] = tensors[key].to(torch.float8_e4m3fn)
    tensors[f"{UNET}time_embed.0.weight_scale"] = torch.ones(4)


def endless_scale(tensors: Tensors) -> None:
    block_scale(tensors)
    tensors[f"{UNET}time_embed.0.weight_scale"] = torch.tensor(float("inf"))


def integers(tensors: Tensors) -> None:
    key = f"{UNET}time_embed.0.weight"
    tensors[key] = tensors[key].to(torch.int8)


def packed(tensors: Tensors) -> None:
    key = f"{UNET}time_embed.0.weight"
    tensors[key] = torch.zeros(tensors[key].numel() // 2, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (block_scale, r"time_embed\.0\.weight has a scale of the shape \[4\]"),
        (endless_scale, r"time_embed\.0\.weight has a scale that is no finite number"),
        (integers, r"time_embed\.0\.weight is stored as I8: the model is quantised"),
        (packed, r"time_embed\.0\.weight is stored as U8: the model is quantised"),
    ],
)
def test_quantised_models_are_refused(
    tiny_checkpoint: Path, tmp_path: Path, change: Callable[[Tensors], None], words: str
) -> None:
    path = rewrite_checkpoint(tiny_checkpoint, tmp_path, change)
    with pytest.raises(CheckpointError, match=words):
        open_float32(path)
