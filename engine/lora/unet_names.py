"""One name for each module of SDXL's UNet, however a LoRA's trainer writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from engine.lora.base_model.names import flat_name
from engine.lora.base_model.unets import sdxl_modules
from engine.sdxl.unet_names import unet_original_path

_BLOCK = re.compile(r"(?:(input)|(output))_blocks_(\d+)_|(middle_block)_")


def original_name(name: str) -> str:
    """A module's name in the original layout, flat: `input_blocks_4_1_proj_in`.

    A name that SDXL's UNet does not have stays as it is, flat and without what programs write
    before it.
    """
    flat = flat_name(name)
    return _originals().get(flat, flat)


def block_of(original: str) -> str:
    """The block of a module, by its name in the original layout: `IN04`, `MID`, else `BASE`."""
    match = _BLOCK.match(original)
    if not match:
        return "BASE"
    if match[4]:
        return "MID"
    return f"{'IN' if match[1] else 'OUT'}{int(match[3]):02}"


@cache
def _originals() -> Mapping[str, str]:
    names: dict[str, str] = {}
    for path in sdxl_modules():
        original = unet_original_path(path).replace(".", "_")
        # Old files of diffusers call the output projection `to_out`, without its index.
        for written in (path, re.sub(r"to_out\.0$", "to_out", path)):
            names[written.replace(".", "_")] = original
        names[re.sub(r"to_out_0$", "to_out", original)] = original
    return names
