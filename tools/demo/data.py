"""Pictures and captions for training, drawn once from a seed and kept in memory."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import torch

from tools.demo.scenes import random_scene, render
from tools.demo.styles import STYLES

CHUNK = 100
PICTURES = 300
"""How many styled scenes a LoRA learns from."""


def _draw_chunk(seed: int, style: str | None) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    draw = STYLES[style] if style else render
    scenes = [random_scene(rng) for _ in range(CHUNK)]
    pictures = np.stack([np.asarray(draw(scene)) for scene in scenes])
    return pictures, [scene.caption(rng) for scene in scenes]


def draw_pictures(
    count: int, seed: int, style: str | None = None
) -> tuple[torch.Tensor, list[str]]:
    """Draw `count` captioned scenes (rounded up to hundreds), in a style or plain.

    Returns uint8 pictures [count, 3, 192, 192] and their captions. The same seed gives the same
    scenes in every style, so a style can be learned as a change of nothing but style.
    """
    seeds = range(seed * 1_000_000, seed * 1_000_000 + -(-count // CHUNK))
    with ProcessPoolExecutor(max_workers=2) as pool:
        chunks = list(pool.map(partial(_draw_chunk, style=style), seeds))
    pictures = torch.from_numpy(np.concatenate([pictures for pictures, _ in chunks]))
    captions = [caption for _, captions in chunks for caption in captions]
    return pictures.permute(0, 3, 1, 2).contiguous(), captions


def to_unit(pictures: torch.Tensor) -> torch.Tensor:
    """Map uint8 pixels to float32 in [-1, 1], the VAE's range."""
    return pictures.float() / 127.5 - 1
