"""Which block of SDXL a module belongs to, and what a LoRA's block weights make of it."""

from __future__ import annotations

from functools import cache

from engine.block_weights import BlockWeights
from engine.lora.targets import bare_name
from engine.sdxl.unet_names import unet_original_path


def block_factor(weights: BlockWeights, part: str, path: str) -> float:
    """The factor for a module, by the part of the model and the module's path within it."""
    if not weights:
        return 1.0
    return dict(weights).get(block_of(part, path), 1.0)


@cache
def block_of(part: str, path: str) -> str:
    """The name of the block that a module of the model belongs to."""
    if part != "unet":
        return "BASE"
    try:
        side, _, rest = unet_original_path(bare_name(path)).partition(".")
    except KeyError:
        return "BASE"
    if side == "middle_block":
        return "MID"
    number = rest.partition(".")[0]
    return {"input_blocks": f"IN0{number}", "output_blocks": f"OUT0{number}"}.get(side, "BASE")
