"""The memory modes by name, without torch, for whoever only has to name one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Mode = Literal["resident", "tiled", "model-offload", "group-offload"]
"""From the fastest, which needs the most memory, to the one that needs the least."""

ModeChoice = Literal["auto", "resident", "tiled", "model-offload", "group-offload"]

MODES: tuple[Mode, ...] = get_args(Mode)
MODE_CHOICES: tuple[ModeChoice, ...] = get_args(ModeChoice)

OFFLOADED: frozenset[Mode] = frozenset({"model-offload", "group-offload"})
"""Modes whose weights rest in main memory and visit the device to compute."""

MODE_WORDS: Mapping[Mode, str] = {
    "resident": "everything stays on the device",
    "tiled": "everything stays on the device, large pictures are decoded in tiles",
    "model-offload": "the networks take turns on the device, large pictures are decoded in tiles",
    "group-offload": "the layers take turns on the device, large pictures are decoded in tiles",
}
