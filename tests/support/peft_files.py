"""LoRA files written by PEFT's and diffusers' own savers, and the weights PEFT's forward has."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from diffusers import StableDiffusionXLPipeline
from peft import (
    AdaLoraConfig,
    BOFTConfig,
    HiraConfig,
    HRAConfig,
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    OFTConfig,
    PeftConfig,
    get_peft_model,
    get_peft_model_state_dict,
)
from safetensors.torch import save_file
from torch import nn

from tests.support.effective import effective

LINEARS = (
    "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k",
    "mid_block.attentions.0.transformer_blocks.1.attn1.to_out.0",
    "up_blocks.0.attentions.1.transformer_blocks.0.ff.net.0.proj",
)
CONVOLUTIONS = (
    "down_blocks.1.resnets.0.conv1",
    "down_blocks.0.downsamplers.0.conv",
    "down_blocks.1.resnets.0.conv_shortcut",
)


@dataclass(frozen=True)
class Family:
    """A PEFT configuration and the UNet's modules it is tried on."""

    config: type[PeftConfig]
    options: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = (*LINEARS, *CONVOLUTIONS)


_LORA = {"r": 4, "lora_alpha": 3, "init_lora_weights": False}
_SECOND = {"r": 4, "alpha": 3, "init_weights": False}
OFT = {"r": 0, "oft_block_size": 8, "init_weights": False}

FAMILIES = {
    "lora": Family(LoraConfig, _LORA),
    "lora rank-stabilized": Family(LoraConfig, {**_LORA, "use_rslora": True}),
    "lora patterns": Family(
        LoraConfig,
        {**_LORA, "rank_pattern": {"to_k": 2, "resnets.0.conv1": 6},
         "alpha_pattern": {"to_k": 5, "^" + LINEARS[1]: 7}},
    ),
    "lora bias": Family(LoraConfig, {**_LORA, "lora_bias": True}, (LINEARS[1], LINEARS[2])),
    "dora": Family(LoraConfig, {**_LORA, "use_dora": True}),
    "loha": Family(LoHaConfig, _SECOND),
    "loha effective": Family(LoHaConfig, {**_SECOND, "use_effective_conv2d": True}),
    "lokr": Family(LoKrConfig, {**_SECOND, "r": 1}),
    "lokr whole": Family(LoKrConfig, {**_SECOND, "r": 16}),
    "lokr two factored": Family(LoKrConfig, {**_SECOND, "r": 1, "decompose_both": True}),
    "lokr effective": Family(LoKrConfig, {**_SECOND, "r": 1, "use_effective_conv2d": True}),
    "oft neumann": Family(OFTConfig, OFT, LINEARS),
    "oft neumann 3": Family(OFTConfig, {**OFT, "num_cayley_neumann_terms": 3}, LINEARS),
    "oft neumann 2": Family(OFTConfig, {**OFT, "num_cayley_neumann_terms": 2}, LINEARS),
    "oft exact": Family(OFTConfig, {**OFT, "use_cayley_neumann": False}, LINEARS),
    "oft shared": Family(OFTConfig, {**OFT, "block_share": True}, LINEARS),
    "oft constrained": Family(OFTConfig, {**OFT, "coft": True, "eps": 0.25}, LINEARS),
    "oft 1x1": Family(OFTConfig, OFT, (CONVOLUTIONS[2],)),
    "adalora": Family(AdaLoraConfig, {"init_r": 4, "lora_alpha": 3, "total_step": 10}),
    "hira": Family(HiraConfig, {"r": 4, "init_weights": False}),
    "hra": Family(HRAConfig, {"r": 4, "init_weights": False}),
    "hra orthogonal": Family(HRAConfig, {"r": 4, "init_weights": False, "apply_GS": True}),
    "ia3 outputs": Family(IA3Config, {"feedforward_modules": [], "init_ia3_weights": False}),
    "ia3 inputs": Family(
        IA3Config,
        {"feedforward_modules": [*LINEARS, *CONVOLUTIONS], "init_ia3_weights": False},
    ),
    "boft": Family(BOFTConfig, {"boft_block_size": 8, "init_weights": False}),
}  # fmt: skip

SAVERS = ("peft", "diffusers", "peft with adapter name", "bare")


@dataclass(frozen=True)
class Adapted:
    """A UNet with random PEFT adapters, their tensors as saved, and the weights its forward has."""

    model: Any
    state: Mapping[str, torch.Tensor]
    expected: Mapping[tuple[str, str], torch.Tensor]


def adapt(family: Family, unet: nn.Module, file_dtype: torch.dtype) -> Adapted:
    """Wrap a float64 copy of the UNet and run its adapted layers on impulses."""
    config = family.config(target_modules=list(family.targets), **family.options)
    # PEFT would build a CUDA extension for BOFT, in the user's own cache.
    without_cuda = patch("peft.tuners.boft.layer.get_fbd_cuda", return_value=None)
    with torch.random.fork_rng(), without_cuda:
        torch.manual_seed(11)
        model = get_peft_model(copy.deepcopy(unet).double(), config)
        for name, parameter in model.named_parameters():
            # AdaLoRA's rank is a parameter too, but not one that is trained.
            if parameter.requires_grad and "ranknum" not in name:
                factor = 0.2 * torch.randn_like(parameter)
                if "magnitude" in name:
                    factor = parameter * (1 + factor)
                if "ia3_l" in name or "boft_s" in name:
                    factor = 1 + factor
                parameter.data = factor.to(file_dtype).double()
        # Constrained OFT changes its own weights in each forward.
        state = {
            name: tensor.to(file_dtype, copy=True).contiguous()
            for name, tensor in get_peft_model_state_dict(model).items()
        }
    model.eval()
    expected = {}
    for target in family.targets:
        layer = model.base_model.model.get_submodule(target)
        for kind, value in effective(layer.get_base_layer(), layer.forward).items():
            expected[target, kind] = value
    return Adapted(model, state, expected)


def save(adapted: Adapted, saver: str, folder: Path) -> Path:
    """Write the adapters with one of `SAVERS`; returns the file."""
    if saver == "peft":
        # It takes a state of the whole model, and writes the configuration beside the file.
        adapted.model.save_pretrained(folder, state_dict=_with_adapter_name(adapted))
        return folder / "adapter_model.safetensors"
    inner = {key.removeprefix("base_model.model."): t for key, t in adapted.state.items()}
    config = adapted.model.peft_config["default"].to_dict()
    if saver == "diffusers":
        StableDiffusionXLPipeline.save_lora_weights(
            folder, unet_lora_layers=inner, unet_lora_adapter_metadata=config
        )
        return folder / "pytorch_lora_weights.safetensors"
    path = folder / "named.safetensors"
    adapted.model.peft_config["default"].save_pretrained(folder)
    if saver == "bare":
        save_file({key.removesuffix(".weight"): tensor for key, tensor in inner.items()}, path)
    else:
        save_file(_with_adapter_name(adapted), path)
    return path


def _with_adapter_name(adapted: Adapted) -> dict[str, torch.Tensor]:
    """The saved tensors by the names they have in the model."""
    named = {}
    for name, _ in adapted.model.named_parameters():
        saved = name.replace(".default", "")
        if saved != name:
            # Magnitudes are saved without their ending, and AdaLoRA's rank not at all.
            tensor = adapted.state.get(saved, adapted.state.get(saved[: -len(".weight")]))
            if tensor is not None:
                named[name] = tensor
    return named
