"""Write a pipeline's parts as a single file in the original layout, the inverse of opening it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from engine.sdxl.layout import Part, parameter_source
from engine.sdxl.unet_names import SDXL_LAYERS, layers_down


def original_tensors(
    parts: Mapping[Part, nn.Module], dtype: torch.dtype = torch.float16
) -> dict[str, torch.Tensor]:
    """All parameters of the parts under the names and in the shapes of the original layout.

    The q, k and v of text encoder 2 become one tensor and its projection is transposed. The VAE's
    attention keeps its linear shape, which every loader accepts.
    """
    tensors: dict[str, torch.Tensor] = {}
    fused: dict[str, dict[int, torch.Tensor]] = {}
    for part, module in parts.items():
        layers = layers_down(name for name, _ in module.named_parameters())
        for name, parameter in module.named_parameters():
            source = parameter_source(part, name, layers=layers or SDXL_LAYERS)
            tensor = parameter.detach().to(dtype)
            if source.third is not None:
                fused.setdefault(source.key, {})[source.third] = tensor
            else:
                tensors[source.key] = (tensor.T if source.transposed else tensor).contiguous()
    for key, thirds in fused.items():
        tensors[key] = torch.cat([thirds[0], thirds[1], thirds[2]])
    return tensors
