"""Every PEFT family, as PEFT and diffusers save it, gives the weights of PEFT's own forward."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from peft import (
    HiraConfig,
    LoHaConfig,
    LoraConfig,
    OFTConfig,
    get_peft_model,
    get_peft_model_state_dict,
    inject_adapter_in_model,
)
from safetensors.torch import save_file
from torch import nn

from engine.lora.cache import LoraCache
from engine.protocol.refs import LoraRef
from engine.switch.switcher import LoraSwitcher
from tests.support import peft_files
from tests.support.peft_files import FAMILIES, SAVERS, Adapted
from tests.support.tiny_sdxl import make_parts

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


@cache
def live(dtype: torch.dtype) -> tuple[nn.Module, LoraSwitcher]:
    unet = make_parts(dtype)["unet"]
    return unet, LoraSwitcher(unet, cache=LoraCache(1))


@cache
def untouched(dtype: torch.dtype) -> nn.Module:
    return make_parts(dtype)["unet"]


@cache
def adapted(family: str, dtype: torch.dtype) -> Adapted:
    return peft_files.adapt(FAMILIES[family], untouched(dtype), dtype)


@pytest.mark.filterwarnings("ignore:.*invalid shape")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("saver", SAVERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_unet_has_the_weights_of_peft_forward(
    family: str, saver: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    source = adapted(family, dtype)
    path = peft_files.save(source, saver, tmp_path)
    unet, switcher = live(dtype)
    (report,) = switcher.apply([LoraRef(path)]).loras
    assert report.matched == len(FAMILIES[family].targets)
    assert (report.unmatched, report.unsupported) == ((), ())
    wrong = total = 0
    for (target, kind), exact in source.expected.items():
        base = untouched(dtype).get_submodule(target).get_parameter(kind).double()
        found = unet.get_submodule(target).get_parameter(kind)
        change = torch.linalg.vector_norm(exact - base)
        if dtype == torch.float32 and change > 1e-9:
            error = torch.linalg.vector_norm(found.double() - exact) / change
            assert error < 1e-5, f"{target}.{kind}: relative error {float(error):.2g}"
        total += exact.numel()
        wrong += int((found != exact.to(dtype)).sum())
    if dtype != torch.float32:
        assert wrong <= 0.001 * total, f"{wrong} of {total} weights are rounded wrong"


@pytest.mark.parametrize("exact", [True, False])
def test_oft_of_kernels_has_the_weights_of_peft_merge(exact: bool, tmp_path: Path) -> None:
    """PEFT's forward joins overlapping windows there, which is no convolution; its merge is."""
    options = {**peft_files.OFT, "use_cayley_neumann": not exact}
    targets = peft_files.CONVOLUTIONS[:2]
    family = peft_files.Family(OFTConfig, options, targets)
    source = peft_files.adapt(family, untouched(torch.float32), torch.float32)
    path = peft_files.save(source, "peft", tmp_path)
    unet, switcher = live(torch.float32)
    switcher.apply([LoraRef(path)])
    merged = source.model.merge_and_unload()
    for target in targets:
        found = unet.get_submodule(target).get_parameter("weight").double()
        torch.testing.assert_close(
            found, merged.get_submodule(target).get_parameter("weight"), rtol=1e-4, atol=1e-6
        )


TOKENS = ["token_embedding", "position_embedding"]
TABLES = {
    "lora": LoraConfig(r=4, lora_alpha=3, target_modules=TOKENS, init_lora_weights=False),
    "lora rank-stabilized": LoraConfig(
        r=4, lora_alpha=3, target_modules=TOKENS, init_lora_weights=False, use_rslora=True
    ),
    "dora": LoraConfig(
        r=4, lora_alpha=3, target_modules=TOKENS, init_lora_weights=False, use_dora=True
    ),
    "hira": HiraConfig(r=4, target_modules=TOKENS, init_weights=False),
}


@pytest.mark.parametrize("saver", ["peft", "diffusers"])
@pytest.mark.parametrize("family", TABLES)
@pytest.mark.parametrize("part", ["text_encoder", "text_encoder_2"])
def test_tables_of_tokens_have_the_weights_of_peft_forward(
    part: str, family: str, saver: str, tmp_path: Path
) -> None:
    parts = make_parts()
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = get_peft_model(copy.deepcopy(parts[part]).double(), TABLES[family])
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "magnitude" in name:
                parameter.data *= 1 + 0.2 * torch.randn_like(parameter)
            elif parameter.requires_grad:
                parameter.data = (0.2 * torch.randn_like(parameter)).float().double()
    state = {
        key.removeprefix("base_model.model."): tensor.float().contiguous()
        for key, tensor in get_peft_model_state_dict(model).items()
    }
    # Alone, text encoder 2 cannot be told from text encoder 1: PEFT names no part.
    if saver == "peft" and part == "text_encoder":
        model.save_pretrained(tmp_path, save_embedding_layers=False)
        path = tmp_path / "adapter_model.safetensors"
    else:
        StableDiffusionXLPipeline.save_lora_weights(
            tmp_path,
            **{f"{part}_lora_layers": state},
            **{f"{part}_lora_adapter_metadata": TABLES[family].to_dict()},
        )
        path = tmp_path / "pytorch_lora_weights.safetensors"
    before = {name: p.clone() for name, p in parts[part].named_parameters()}
    (report,) = LoraSwitcher(**parts).apply([LoraRef(path)]).loras
    assert (report.matched, report.unmatched, report.left_over) == (2, (), ())
    for path_, layer in model.base_model.model.named_modules():
        if path_.endswith(tuple(TOKENS)):
            rows = torch.arange(layer.get_base_layer().num_embeddings)
            exact = layer(rows).detach()
            name = f"{path_}.weight"
            found = parts[part].get_parameter(name).double()
            size = torch.linalg.vector_norm(exact - before[name].double())
            assert size > 1e-3
            assert torch.linalg.vector_norm(found - exact) / size < 1e-5, name


@pytest.mark.parametrize("saved", ["both", "the inner one"])
def test_an_adapter_inside_another_has_the_weights_of_peft_forward(
    saved: str, tmp_path: Path
) -> None:
    """PEFT puts one kind of adapter around another: `to_k.base_layer.lora_A`, `to_k.hada_w1_a`."""
    target = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    outside = copy.deepcopy(untouched(torch.float32))
    for config in (LoraConfig(r=2, lora_alpha=2), LoHaConfig(r=2, alpha=2)):
        config.target_modules = [target]
        inject_adapter_in_model(config, outside)
    layer = outside.get_submodule(target)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in layer.named_parameters():
        if "base_layer.weight" not in name:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    tensors = {
        f"unet.{target}.{name}": parameter.detach().clone()
        for name, parameter in layer.named_parameters()
        if "base_layer.weight" not in name and (saved == "both" or "base_layer." in name)
    }
    path = tmp_path / "nested.safetensors"
    save_file(tensors, path)
    measured = layer if saved == "both" else layer.base_layer
    eye = torch.eye(measured.in_features)
    expected = measured(eye).T - measured(torch.zeros_like(eye)).T
    unet, switcher = live(torch.float32)
    (report,) = switcher.apply([LoraRef(path)]).loras
    assert (report.matched, report.warnings) == (2 if saved == "both" else 1, ())
    found = unet.get_submodule(target).weight
    base = untouched(torch.float32).get_submodule(target).weight
    assert not torch.allclose(found, base, atol=1e-3)
    assert torch.allclose(found, expected, atol=1e-6)
