"""The memory modes by name, without torch, for whoever only has to name one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from engine.sdxl.layout import PARTS, Part

Mode = Literal["resident", "tiled", "encoder-offload", "model-offload", "group-offload"]
"""From the fastest, which needs the most memory, to the one that needs the least."""

ModeChoice = Literal[
    "auto", "resident", "tiled", "encoder-offload", "model-offload", "group-offload"
]

MODES: tuple[Mode, ...] = get_args(Mode)
MODE_CHOICES: tuple[ModeChoice, ...] = get_args(ModeChoice)

OFFLOADED: Mapping[Mode, tuple[Part, ...]] = {
    "resident": (),
    "tiled": (),
    "encoder-offload": ("text_encoder", "text_encoder_2"),
    "model-offload": PARTS,
    "group-offload": ("unet", "text_encoder", "text_encoder_2"),
}
"""The networks whose weights rest in main memory, and visit the device to compute."""

MODE_WORDS: Mapping[Mode, str] = {
    "resident": "everything stays on the device",
    "tiled": "everything stays on the device, large pictures are decoded in tiles",
    "encoder-offload": "the UNet and the VAE stay on the device, the text encoders visit it, "
    "large pictures are decoded in tiles",
    "model-offload": "the networks take turns on the device, large pictures are decoded in tiles",
    "group-offload": "the layers take turns on the device, large pictures are decoded in tiles",
}


def moves_unet(mode: ModeChoice) -> bool:
    """Whether the UNet's weights are not always in one place on the device; not of `auto`."""
    return mode != "auto" and "unet" in OFFLOADED[mode]
