"""The names of SDXL's UNet modules in the original (sgm) layout; needs no torch."""

from __future__ import annotations

import re

_UNET_TOP = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
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
_UNET_BLOCK = re.compile(
    r"(?:(down|up)_blocks\.(\d+)|mid_block)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)"
)


def unet_original_path(path: str) -> str:
    """Translate a UNet module path (`down_blocks.1.attentions.0.proj_in`) to the original one.

    Raises `KeyError` for a path that SDXL's UNet does not have.
    """
    if path in _UNET_TOP:
        return _UNET_TOP[path]
    match = _UNET_BLOCK.fullmatch(path)
    if match is None:
        raise KeyError(path)
    side, block_text, kind, index_text, rest = match.groups()
    block, index = int(block_text or 0), int(index_text)
    if kind == "resnets":
        rest = _UNET_RESNET[rest]
    if side is None:
        place = 2 * index if kind == "resnets" else 1
        return f"middle_block.{place}.{rest}"
    if kind == "downsamplers":
        return f"input_blocks.{3 * (block + 1)}.0.op"
    if kind == "upsamplers":
        return f"output_blocks.{3 * block + 2}.2.conv"
    layer = 0 if kind == "resnets" else 1
    if side == "down":
        return f"input_blocks.{3 * block + index + 1}.{layer}.{rest}"
    return f"output_blocks.{3 * block + index}.{layer}.{rest}"
