"""What to draw: the settings of one generation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GenerateRequest:
    """Settings of one generation of `batch` pictures; sizes in pixels.

    `seed` -1 draws a random one; picture i of a batch uses `seed + i`. Pictures are written into
    `output` (created when missing).
    """

    prompt: str
    output: Path
    negative_prompt: str = ""
    seed: int = -1
    steps: int = 28
    cfg_scale: float = 6.0
    width: int = 1024
    height: int = 1024
    sampler: str = "DPM++ 2M"
    schedule: str = "Karras"
    batch: int = 1
    clip_skip: int = 2
    """Which hidden state of the text encoders counts, from the end; 2 is SDXL's own (1 means 2)."""
    preview_every: int = 1
    """Steps between previews; 0 turns previews off."""
    embeddings: tuple[Path, ...] = ()
    """Folders of textual inversions that the prompts may name."""
