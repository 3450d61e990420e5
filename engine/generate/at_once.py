"""How many pictures are drawn at once: what there is memory for, and what it gains."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch

from engine.modes.choose import UNET_BYTES_PER_PIXEL
from engine.modes.place import free_bytes

log = logging.getLogger(__name__)

MOST_PICTURES = 4
MOST_PIXELS = {"cpu": 4 * 512 * 512}
MOST_PIXELS_OF_GPUS = 4 * 1024 * 1024
"""Of all that are drawn at once: with more the UNet is hardly quicker, and each comes later."""


@dataclass
class Room:
    """How many latents the UNet takes at once. Where memory runs out, it becomes less."""

    rows: int

    def halve(self, tried: int) -> None:
        """Go on with half of what did not fit."""
        self.rows = tried // 2
        log.warning("no memory for %d latents in the UNet at once: now %d", tried, self.rows)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def room_for(device: torch.device, pixels: int, rows: int) -> Room:
    """Room for pictures of so many pixels, each of them `rows` latents; for one at least."""
    most = MOST_PIXELS.get(device.type, MOST_PIXELS_OF_GPUS)
    fitting = free_bytes(str(device)) // UNET_BYTES_PER_PIXEL
    return Room(rows * max(1, min(MOST_PICTURES, min(most, fitting) // pixels)))
