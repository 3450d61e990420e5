"""LoRA files written by LyCORIS' own saver, and the weights its own forward has with them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from lycoris.modules.full import FullModule
from lycoris.modules.locon import LoConModule
from lycoris.modules.norms import NormModule
from lycoris.wrapper import LycorisNetwork, network_module_dict
from safetensors.torch import load_file
from torch import nn

from tests.support.effective import effective

RANK = 4
ALPHA = 3.0

LINEARS = (
    "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k",
    "mid_block.attentions.0.transformer_blocks.1.attn1.to_out.0",
    "up_blocks.0.attentions.1.transformer_blocks.0.ff.net.0.proj",
    "add_embedding.linear_1",
)
KERNELS = (
    "down_blocks.1.resnets.0.conv1",
    "down_blocks.0.downsamplers.0.conv",
    "up_blocks.1.upsamplers.0.conv",
)
CONVOLUTIONS = (*KERNELS, "down_blocks.1.resnets.0.conv_shortcut")
POINTS = (*LINEARS, "down_blocks.1.resnets.0.conv_shortcut")
"""Layers that look at one point at a time."""
NORMS = (
    "down_blocks.1.attentions.0.transformer_blocks.0.norm2",
    "up_blocks.2.resnets.1.norm1",
    "conv_norm_out",
)


@dataclass(frozen=True)
class Family:
    """A LyCORIS algorithm with options, and the UNet's modules it is tried on."""

    algo: str
    options: Mapping[str, Any] = field(default_factory=dict)
    targets: tuple[str, ...] = (*LINEARS, *CONVOLUTIONS)

    @property
    def dora(self) -> bool:
        """Whether the result is weight-decomposed."""
        return bool(self.options.get("weight_decompose"))


def _dora(algo: str, by_row: bool, **options: Any) -> Family:
    return Family(algo, {"weight_decompose": True, "wd_on_out": by_row, **options})


FAMILIES = {
    "lora": Family("locon"),
    "lora rank-stabilized": Family("locon", {"rs_lora": True}),
    "lora tucker": Family("locon", {"use_tucker": True}, KERNELS),
    "dylora": Family("dylora", {"block_size": 1}),
    "loha": Family("loha"),
    "loha tucker": Family("loha", {"use_tucker": True}, KERNELS),
    "lokr": Family("lokr", {"lora_dim": 1}),
    "lokr two factored": Family("lokr", {"lora_dim": 1, "decompose_both": True}),
    "lokr first factored": Family(
        "lokr", {"lora_dim": 2, "decompose_both": True, "unbalanced_factorization": True}
    ),
    "lokr whole": Family("lokr", {"full_matrix": True}),
    "lokr tucker": Family("lokr", {"lora_dim": 1, "use_tucker": True}, KERNELS),
    "glora": Family("glora"),
    "glora rank-stabilized": Family("glora", {"rs_lora": True}),
    "oft": Family("diag-oft"),
    "oft constrained": Family("diag-oft", {"constraint": 2**-7}),
    "oft rescaled": Family("diag-oft", {"constraint": 2**-5, "rescaled": True}),
    "boft": Family("boft"),
    "boft rescaled": Family("boft", {"constraint": 2**-6, "rescaled": True}),
    "t-lora": Family("tlora", {}, POINTS),
    "t-lora last": Family("tlora", {"sig_type": "last"}, POINTS),
    "t-lora middle": Family("tlora", {"sig_type": "middle"}, POINTS),
    "ia3 outputs": Family("ia3"),
    "ia3 inputs": Family("ia3", {"train_on_input": True}),
    "full": Family("full"),
    "norm": Family("norm", targets=NORMS),
    "dora lora rows": _dora("locon", True),
    "dora lora columns": _dora("locon", False),
    "dora loha rows": _dora("loha", True),
    "dora loha columns": _dora("loha", False),
    "dora lokr rows": _dora("lokr", True, lora_dim=1),
    "dora lokr columns": _dora("lokr", False, lora_dim=1),
}


@dataclass(frozen=True)
class Written:
    """What LyCORIS saved, and the weights that its forward has, by strength, module and kind."""

    tensors: Mapping[str, torch.Tensor]
    metadata: Mapping[str, str]
    expected: Mapping[float, Mapping[tuple[str, str], torch.Tensor]]


def write(
    family: Family,
    part: nn.Module,
    file_dtype: torch.dtype,
    path: Path,
    strengths: tuple[float, ...],
    targets: tuple[str, ...] | None = None,
    prefix: str = "lora_unet",
) -> Written:
    """Give modules of `part` random adapters, save them to `path` and run them on impulses.

    The reference runs in float64 on the values as stored.
    """
    network = LycorisNetwork(part, init_only=True)
    generator = torch.Generator().manual_seed(7)
    adapters, layers = {}, {}
    for target in targets or family.targets:
        layer = deepcopy(part.get_submodule(target)).double()
        adapter = _make(family, f"{prefix}_{target.replace('.', '_')}", layer).double()
        _randomize(adapter, file_dtype, generator)
        adapters[target], layers[target] = adapter, deepcopy(layer)
        if isinstance(adapter, FullModule):
            # Before it is applied, its saver takes the difference for the weight.
            adapter.apply_to()
        network.add_module(adapter.lora_name, adapter)
    metadata = {}
    told = {"rs_lora", "sig_type"} & family.options.keys()
    if told:
        # What sd-scripts writes into every file.
        arguments = {name: str(family.options[name]) for name in told}
        metadata["ss_network_args"] = json.dumps({"algo": family.algo, **arguments})
    network.save_weights(str(path), file_dtype, metadata)
    tensors = load_file(path)
    with _float64_throughout():
        expected = {
            strength: {
                (target, kind): value
                for target, adapter in adapters.items()
                for kind, value in _run(family, adapter, layers[target], strength).items()
            }
            for strength in strengths
        }
    return Written(tensors, metadata, expected)


def _make(family: Family, name: str, layer: nn.Module) -> nn.Module:
    if family.algo == "norm":
        return NormModule(name, layer)
    settings: dict[str, Any] = {"lora_dim": RANK, "alpha": ALPHA, **family.options}
    # T-LoRA takes the base weight apart when it is made, and then looks for garbage for a second.
    is_tlora = family.algo == "tlora"
    with _float64_throughout() if is_tlora else nullcontext(), patch("gc.collect"):
        adapter: nn.Module = network_module_dict[family.algo](name, layer, **settings)
    return adapter


def _randomize(adapter: nn.Module, dtype: torch.dtype, generator: torch.Generator) -> None:
    """Fill every trained tensor with random values that `dtype` can store."""
    for name, parameter in adapter.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator).to(parameter)
        if name in ("dora_scale", "rescale"):
            value = parameter * (1 + 0.2 * noise)
        elif "norm" in name or isinstance(adapter, FullModule):
            value = 0.1 * noise
        else:
            value = 0.3 * noise
        parameter.data = value.to(dtype).to(parameter.dtype)


@contextmanager
def _float64_throughout() -> Iterator[None]:
    """Let LyCORIS' orthogonal families, which convert to float32 on the way, stay in float64."""
    torch.set_default_dtype(torch.float64)
    try:
        with patch.object(torch.Tensor, "float", torch.Tensor.double):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def _run(
    family: Family, adapter: nn.Module, layer: nn.Module, strength: float
) -> dict[str, torch.Tensor]:
    if family.algo == "dylora":
        adapter = _as_full_rank(adapter, layer)
    if family.dora:
        # Its multiplier scales V, not the change, so 0 is not the base; only 1 is what was trained.
        adapter.multiplier = 1.0
        whole = effective(layer, adapter.forward)
        return {
            kind: getattr(layer, kind) + strength * (value - getattr(layer, kind))
            for kind, value in whole.items()
        }
    adapter.multiplier = strength
    return effective(layer, adapter.forward)


def _as_full_rank(adapter: nn.Module, layer: nn.Module) -> nn.Module:
    """The LoRA that a DyLoRA is saved as; the forward of DyLoRA itself draws a random rank."""
    state = adapter.state_dict()
    up, down = state["lora_up.weight"], state["lora_down.weight"]
    up = up.view(*up.shape, *[1] * (layer.weight.dim() - 2))
    plain = LoConModule("", layer, lora_dim=RANK, alpha=ALPHA).to(layer.weight.dtype)
    plain.load_state_dict({"lora_up.weight": up, "lora_down.weight": down}, strict=False)
    return plain
