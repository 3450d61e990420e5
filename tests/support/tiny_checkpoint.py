"""A tiny untrained SDXL as a single file in the original layout, and LoRAs that fit it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection
from transformers.convert_slow_tokenizer import bytes_to_unicode

from engine.checkpoint.config import METADATA_KEY, checkpoint_config
from engine.checkpoint.write import original_tensors
from engine.files.header import Header, read_header
from engine.sdxl.layout import Part

SIDE = 64
"""Pixels of the pictures it draws by default."""

_RANK = 2


def write_tiny_checkpoint(folder: Path, seed: int = 0) -> Path:
    """Write `tiny.safetensors` in float16 with its tokenizer; the same seed gives the same bytes.

    SDXL's block structure, less than half a million parameters.
    """
    vocabulary = _write_tokenizer(folder / "tokenizer")
    own = _own_config(vocabulary)
    path = folder / "tiny.safetensors"
    metadata = {METADATA_KEY: json.dumps(own)}
    config = checkpoint_config(path.name, Header({}, metadata, 0, 0))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        modules: dict[Part, nn.Module] = {
            "unet": UNet2DConditionModel(**config["unet"]),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**config["text_encoder"])),
            "text_encoder_2": CLIPTextModelWithProjection(
                CLIPTextConfig(**config["text_encoder_2"])
            ),
            "vae": AutoencoderKL(**config["vae"]),
        }
    save_file(original_tensors(modules), path, metadata)
    return path


def rewrite_checkpoint(
    checkpoint: Path,
    folder: Path,
    change: Callable[[dict[str, torch.Tensor]], object],
    name: str = "other.safetensors",
    **metadata: str,
) -> Path:
    """Write a copy of a checkpoint into `folder`, with its tokenizer, after changing its tensors.

    `change` gets the tensors by their names in the file and edits that table; metadata is added.
    """
    tensors = load_file(checkpoint)
    change(tensors)
    shutil.copytree(checkpoint.parent / "tokenizer", folder / "tokenizer", dirs_exist_ok=True)
    own = read_header(checkpoint).metadata
    save_file(tensors, folder / name, {**own, **metadata})
    return folder / name


def write_tiny_lora(path: Path, checkpoint: Path, seed: int, **metadata: str) -> Path:
    """Write a kohya LoRA for the attention of the UNet and of both text encoders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    with safe_open(checkpoint, framework="pt") as file:
        shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    targets = {
        f"lora_unet_{_flat(key, 'model.diffusion_model.')}": shape
        for key, shape in shapes.items()
        if key.startswith("model.diffusion_model.") and key.endswith(("to_q.weight", "to_v.weight"))
    }
    width_1 = shapes["conditioner.embedders.0.transformer.text_model.final_layer_norm.weight"][0]
    width_2 = shapes["conditioner.embedders.1.model.ln_final.weight"][0]
    module = "text_model_encoder_layers_0_self_attn_q_proj"
    targets[f"lora_te1_{module}"] = [width_1, width_1]
    targets[f"lora_te2_{module}"] = [width_2, width_2]
    for name, (rows, columns) in targets.items():
        down = torch.randn(_RANK, columns, generator=generator)
        up = torch.randn(rows, _RANK, generator=generator)
        tensors[f"{name}.lora_down.weight"] = down.half()
        tensors[f"{name}.lora_up.weight"] = up.half()
        tensors[f"{name}.alpha"] = torch.tensor(float(_RANK)).half()
    save_file(tensors, path, {"ss_base_model_version": "sdxl_base_v1-0", **metadata})
    return path


def _own_config(vocabulary: int) -> dict[str, dict[str, object]]:
    ids = {
        "vocab_size": vocabulary,
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "pad_token_id": vocabulary - 1,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    return {
        "unet": {
            "block_out_channels": [8, 16, 16],
            "transformer_layers_per_block": [1, 1, 2],
            "attention_head_dim": [1, 2, 2],
            "norm_num_groups": 4,
            "cross_attention_dim": 8 + 16,
            "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": 16 + 6 * 4,
            "sample_size": SIDE // 8,
        },
        "vae": {
            "block_out_channels": [4, 8, 8, 8],
            "layers_per_block": 1,
            "norm_num_groups": 2,
            "sample_size": SIDE,
        },
        "text_encoder": {**ids, "hidden_size": 8, "intermediate_size": 16, "projection_dim": 8},
        "text_encoder_2": {**ids, "hidden_size": 16, "intermediate_size": 32, "projection_dim": 16},
    }


def _write_tokenizer(folder: Path) -> int:
    """CLIP's tokenizer without any merge: every byte is a token. Returns its number of tokens."""
    alphabet = list(bytes_to_unicode().values())
    tokens = [*alphabet, *(c + "</w>" for c in alphabet), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return len(tokens)


def _flat(key: str, prefix: str) -> str:
    return key.removeprefix(prefix).removesuffix(".weight").replace(".", "_")
