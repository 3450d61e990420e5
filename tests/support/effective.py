"""The weight and bias that a layer has in effect, found from what its forward does to impulses."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Forward = Callable[[torch.Tensor], torch.Tensor]


def effective(layer: nn.Module, forward: Forward) -> dict[str, torch.Tensor]:
    """Weight and bias such that `layer` with them would do what `forward` does.

    `layer` is the base layer (linear, convolution or norm); it gives shapes and dtype only.
    """
    with torch.no_grad():
        if isinstance(layer, nn.Linear):
            found = _linear(layer, forward)
        elif isinstance(layer, nn.Conv2d):
            found = _convolution(layer, forward)
        else:
            found = _norm(layer, forward)
    if layer.bias is None:
        del found["bias"]
    return found


def _linear(layer: nn.Linear, forward: Forward) -> dict[str, torch.Tensor]:
    inputs = torch.eye(layer.in_features, dtype=layer.weight.dtype)
    bias = forward(torch.zeros_like(inputs[:1]))
    return {"weight": (forward(inputs) - bias).T, "bias": bias[0]}


def _convolution(layer: nn.Conv2d, forward: Forward) -> dict[str, torch.Tensor]:
    (height, width), (stride, _), (padding, _) = layer.kernel_size, layer.stride, layer.padding
    # The output at (1, 1) sees a whole window, which starts inside the picture.
    start = stride - padding
    side = start + max(height, width)
    count = layer.in_channels * height * width
    windows = torch.eye(count, dtype=layer.weight.dtype)
    inputs = torch.zeros(count, layer.in_channels, side, side, dtype=layer.weight.dtype)
    inputs[:, :, start : start + height, start : start + width] = windows.view(
        count, layer.in_channels, height, width
    )
    bias = forward(torch.zeros_like(inputs[:1]))[0, :, 1, 1]
    outputs = forward(inputs)[:, :, 1, 1] - bias
    return {"weight": outputs.T.reshape(layer.weight.shape), "bias": bias}


def _norm(layer: nn.Module, forward: Forward) -> dict[str, torch.Tensor]:
    count, dtype = layer.weight.shape[0], layer.weight.dtype
    row = torch.linspace(-1.0, 1.0, 2 * count, dtype=dtype)[::2] + 0.01
    inputs = row[None] if isinstance(layer, nn.LayerNorm) else row[None, :, None, None]
    ones = type(layer)(*_norm_size(layer), eps=layer.eps, dtype=dtype)
    there, back = forward(inputs), forward(-inputs)
    weight = (there - back) / (2 * ones(inputs))
    return {"weight": weight.flatten(), "bias": ((there + back) / 2).flatten()}


def _norm_size(layer: nn.Module) -> tuple[int, ...]:
    if isinstance(layer, nn.LayerNorm):
        return tuple(layer.normalized_shape)
    assert isinstance(layer, nn.GroupNorm)
    return (layer.num_groups, layer.num_channels)
