"""The names of SDXL's UNet modules in the original (sgm) layout; needs no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable

Layers = tuple[int, ...]
"""Layers (a resnet, perhaps with attention) in each block on a UNet's way down."""
SDXL_LAYERS: Layers = (2, 2, 2)

_UNET_TOP = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "time_embedding.cond_proj": "time_embed.cond_proj",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_RESNET_DOWN = re.compile(r"down_blocks\.(\d+)\.resnets\.(\d+)\.")
_UNET_BLOCK = re.compile(
    r"(?:(down|up)_blocks\.(\d+)|mid_block)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)"
)


def layers_down(paths: Iterable[str]) -> Layers:
    """Count the layers in each block on a UNet's way down, by the paths of its modules."""
    counts: dict[int, int] = {}
    for path in paths:
        if match := _RESNET_DOWN.match(path):
            block, layer = int(match[1]), int(match[2])
            counts[block] = max(counts.get(block, 0), layer + 1)
    return tuple(counts[block] for block in sorted(counts))


def unet_original_path(path: str, layers: Layers = SDXL_LAYERS) -> str:
    """Translate a UNet module path (`down_blocks.1.attentions.0.proj_in`) to the original one.

    The original layout numbers its blocks through, so the path depends on the `layers` before it.
    Raises `KeyError` for a path that such a UNet does not have.
    """
    if path in _UNET_TOP:
        return _UNET_TOP[path]
    match = _UNET_BLOCK.fullmatch(path)
    if match is None or int(match[2] or 0) >= len(layers):
        raise KeyError(path)
    side, block_text, kind, index_text, rest = match.groups()
    block, index = int(block_text or 0), int(index_text)
    if kind == "resnets":
        rest = _UNET_RESNET[rest]
    if side is None:
        place = 2 * index if kind == "resnets" else 1
        return f"middle_block.{place}.{rest}"
    # Each block is one longer than its layers: by its downsampler, or by the layer that is more
    # on the way up. The first convolution comes before all.
    if side == "down":
        start = 1 + sum(count + 1 for count in layers[:block])
        if kind == "downsamplers":
            return f"input_blocks.{start + layers[block]}.0.op"
        return f"input_blocks.{start + index}.{0 if kind == 'resnets' else 1}.{rest}"
    upwards = layers[::-1]
    start = sum(count + 1 for count in upwards[:block])
    if kind == "upsamplers":
        return f"output_blocks.{start + upwards[block]}.2.conv"
    return f"output_blocks.{start + index}.{0 if kind == 'resnets' else 1}.{rest}"
